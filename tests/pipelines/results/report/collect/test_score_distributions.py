"""Judges' words and distributions of scores in the report."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

import prompts
from actors.engine import EngineSpec, GenerateRequest, Generation
from actors.engines.scripted_engine import ScriptedEngine
from pipelines.results.report.collect.outcomes import Outcomes
from pipelines.results.report.collect.score_distributions import ScoreDistributions
from pipelines.results.report.csv_files import csv_files
from pipelines.results.report.data.scores import SetDistribution, SetJudgement, SetProbabilities
from pipelines.results.report.data.set_key import InstructionKey, SetKey
from pipelines.results.report.page import render_html, render_markdown
from pipelines.results.report.plots.confidence import confidence, probabilities
from pipelines.results.report.plots.judged import difficulty
from pipelines.rows.arrow import from_table
from pipelines.rows.types import InstructionRow, ScoreRow
from pipelines.store.store import Store
from pipelines.study.graph.steps.grid import Grid
from tests.pipelines.results.report import sample
from tests.support.offline import run_offline
from tests.support.studies import scripted_study


class Moody(ScriptedEngine):
    """Names a level or a number, by what it is asked; of every fourth instruction it says nothing that helps."""

    async def generate(self, request: GenerateRequest) -> Generation:
        mood = int(request.id[0], 16) % 4
        asked = request.messages[0][1]
        word = "unsure" if not mood else "40" if "100" in asked else prompts.DIFFICULTY_LABELS[mood]
        word = f'["birds", "mood {mood}"]' if mood and "JSON" in asked else word
        return Generation(request.id, word, "stop", 1, 1)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Grid]:
    store = Store(str(tmp_path_factory.mktemp("store")))
    study = scripted_study(
        evolution={"evolvers": ["small"], "rounds": 1, "probabilities": 3},
        responses={"teachers": ["small"]},
        judging={"judge": "large", "metrics": ["difficulty", "difficulty_score", "tags"]},
    )
    return store, run_offline(study, store, {"large": Moody(EngineSpec("scripted", "large"))})


def told(ran: tuple[Store, Grid]) -> ScoreDistributions:
    return ScoreDistributions(*ran, ran[0].finished_keys(), seed=0)


def test_shares_are_of_all_judged_rows(ran: tuple[Store, Grid]) -> None:
    found = list(told(ran).judgements())
    assert [(each.metric, each.set.round) for each in found] == [
        (metric, number) for number in (0, 1) for metric in ("difficulty", "difficulty_score", "tags")
    ]
    for each in found:
        assert each.rows == 20 and 0 < each.unread < 20
        if each.metric == "difficulty":
            assert sum(share for _, share in each.shares) == pytest.approx(100 * (20 - each.unread) / 20)
            assert [label for label, _ in each.shares] == list(prompts.DIFFICULTY_LABELS) and each.mean is None
        elif each.metric == "tags":
            assert (each.mean, each.distinct, each.diversity) == (2.0, 4, 4 / (20 - each.unread))
        else:
            assert (each.mean, each.shares, each.diversity) == (40.0, (), None)


def test_spreads_are_those_of_the_sets_scores(ran: tuple[Store, Grid]) -> None:
    store, grid = ran
    by_place = {(each.set.round, each.score): each for each in told(ran).distributions()}
    for pairs in grid.sets:
        assert pairs.scores
        rows = from_table(ScoreRow, store.rows(pairs.scores.kind, pairs.scores.key))
        for score in ("ifd", "ic_ifd", "ppl_answer"):
            values = sorted(getattr(row, score) for row in rows)
            each = by_place[pairs.round, score]
            assert each.mean == pytest.approx(fmean(values)) and each.rows == len(rows)
            assert values[0] <= each.low <= each.median <= each.high <= values[-1]


def test_probabilities_are_counted_by_bins(ran: tuple[Store, Grid]) -> None:
    for each in told(ran).probabilities():
        assert sum(share for _, share in each.bins) == pytest.approx(100)
        assert 0 < each.mean < 1 and 20 <= each.tokens <= 5 * 20


def test_every_scorer_has_its_probabilities_and_panels(tmp_path: Path) -> None:
    store, models = Store(str(tmp_path)), [{"scorer": "scorer"}, {"scorer": "large", "name": "other"}]
    grid = run_offline(scripted_study(evolution={"evolvers": ["small"], "rounds": 1}, scoring=models), store)
    found = tuple(told((store, grid)).probabilities())
    assert {each.scorer for each in found} == {"scorer", "other"} and len(found) == 2 * len(grid.sets)
    figure = probabilities(replace(sample.sample(), probabilities=found))
    assert figure and len(figure.panels) == 4, "of two teachers under two scorers"
    titles = [each.title for each in figure.panels]
    assert sum("under other" in title for title in titles) == 2


def test_an_evolvers_own_probabilities_are_counted_once_for_a_set(ran: tuple[Store, Grid]) -> None:
    (found,) = told(ran).confidences()
    (step,) = (step for step in ran[1].steps.values() if step.kind == "evolve")
    rows = from_table(InstructionRow, ran[0].rows(step.kind, step.key))
    kept = [value for row in rows for value in row.probabilities]
    assert (found.set.evolver, found.set.round, found.set.teacher, found.tokens) == ("small", 1, "", 3 * len(rows))
    assert found.mean == pytest.approx(fmean(kept)) and sum(share for _, share in found.bins) == pytest.approx(100)


def test_what_a_judge_said_of_instructions_is_among_the_replies_and_how_it_was_read(ran: tuple[Store, Grid]) -> None:
    replies = [each for each in Outcomes(*ran, ran[0].finished_keys()).reply_outcomes() if each.model == "large"]
    found = {(each.role, each.outcome): each.rows for each in replies if each.role.startswith("judge")}
    for metric in ("difficulty", "difficulty_score"):
        unread = sum(each.unread for each in told(ran).judgements() if each.metric == metric)
        lost = sum(
            rows for (role, outcome), rows in found.items() if role == f"judge: {metric}" and "rejected" in outcome
        )
        assert lost == unread > 0
        assert sum(rows for (role, _), rows in found.items() if role == f"judge: {metric}") == 40


def full() -> Any:
    shares = tuple(zip(prompts.DIFFICULTY_LABELS, (0.0, 10.0, 40.0, 25.0, 20.0), strict=True))
    judged = SetJudgement(InstructionKey("<i>", "small", 1), "difficulty", 200, 10, None, None, shares)
    scored = replace(judged, metric="difficulty_score", mean=66.5, shares=())
    named = replace(judged, metric="keywords", distinct=1234, shares=())
    tagged = replace(named, metric="tags", mean=4.823, distinct=139, diversity=1.391)
    spread = SetDistribution(SetKey("<i>", "small", 1, "a|b", "greedy"), "ifd", 190, 0.83, 0.7, 0.8, 0.9)
    bins = tuple((i / 20, 5.0) for i in range(20))
    sure = SetProbabilities(SetKey("<i>", "small", 1, "a|b", "greedy"), "", 950, 0.5, bins)
    own = SetProbabilities(SetKey("<i>", "small", 1, "", ""), "", 1234, 0.625, bins)
    return replace(
        sample.sample(),
        judgements=(judged, scored, named, tagged),
        distributions=(spread,),
        probabilities=(sure,),
        confidences=(own,),
    )


def test_page_and_markdown_show_tables_and_figures() -> None:
    page = re.sub(r"\s+", " ", render_html(full()))
    assert "easy 10.0, medium 40.0, hard 25.0, very hard 20.0" in page and "Probability of the first tokens" in page
    assert "Confidence of the evolvers" in page and "1,234" in page
    assert "<i>" not in page.partition("Judge ratings")[2].partition("Rows and time")[0]
    text = render_markdown(full())
    assert r"| \<i\> | small | 1 | difficulty\_score | 200 | 10 | 66.5 | – | – |  |" in text
    assert r"| \<i\> | small | 1 | tags | 200 | 10 | 4.82 | 139 | 1.39 |  |" in text
    assert r"| \<i\> | small | 1 | a\|b | greedy | ifd | 190 | 0.830 | 0.700 | 0.800 | 0.900 |" in text
    tables = re.findall(r"(?:^\|.*\n)+", text.partition("## Judge ratings")[2].partition("## Rounds")[0], re.M)
    assert len(tables) == 3
    assert r"| \<i\> | small | 1 | 1234 | 0.625 |" in text
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1


def test_a_report_without_judges_does_not_speak_of_them() -> None:
    for text in (render_html(sample.sample()), render_markdown(sample.sample())):
        assert all(title not in text for title in ("Judge ratings", "Distribution of scores", "Confidence"))
    assert difficulty(sample.sample()) is None and probabilities(sample.sample()) is None
    assert confidence(sample.sample()) is None


def test_the_numbers_are_written_as_files() -> None:
    files = csv_files(full())
    assert files["judgements.csv"].splitlines()[2] == "<i>,small,1,difficulty_score,200,10,66.5,,{},"
    assert files["scores.csv"].splitlines()[1] == "<i>,small,1,a|b,greedy,,ifd,190,0.83,0.7,0.8,0.9"
    assert files["probabilities.csv"].splitlines()[1].startswith("<i>,small,1,a|b,greedy,,,950,0.5,")
    assert files["confidence.csv"].splitlines()[1].startswith("<i>,small,1,,,,,1234,0.625,")
