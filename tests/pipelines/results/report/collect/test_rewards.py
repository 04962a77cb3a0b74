"""Rewards, CAR and flagged answers in the report: means, margins by instruction, warnings, and what the page shows."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from actors.engine import EngineSpec, GenerateRequest, Generation
from actors.engines.scripted_engine import ScriptedEngine
from pipelines.results.report.collect.outcomes import Outcomes
from pipelines.results.report.collect.rewards import Rewards
from pipelines.results.report.csv_files import csv_files
from pipelines.results.report.data.rewards import AnswerFlags, SetCar, SetReward
from pipelines.results.report.data.set_key import SetKey
from pipelines.results.report.page import render_html, render_markdown
from pipelines.results.report.tables.car_warnings import car_warnings
from pipelines.rows.arrow import from_table
from pipelines.rows.kinds import ROW_TYPES
from pipelines.store.store import Store
from pipelines.study.graph.steps.grid import Grid
from pipelines.study.graph.steps.step import Step
from pipelines.study.spec.pairs.scoring import Car, RewardMode
from tests.pipelines.results.report import sample
from tests.support.offline import run_offline
from tests.support.studies import scripted_study

CHOICE = {"temperature": 0.8, "max_tokens": 40, "candidates": 3, "reward": "judge"}
DECODINGS = [
    {"name": "short", "max_tokens": 6},
    {"name": "best", "draw": "best-of", **CHOICE},
    {"name": "worst", "draw": "worst-of", **CHOICE},
]


class Moody(ScriptedEngine):
    """Says nothing to some instructions, and declines others."""

    async def generate(self, request: GenerateRequest) -> Generation:
        said = await super().generate(request)
        mood = int(request.id[0], 16)
        text = "" if mood < 4 else f"I cannot {said.text}" if mood < 8 else said.text
        return Generation(said.id, text, said.finish_reason, said.tokens_in, said.tokens_out)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Grid]:
    store = Store(str(tmp_path_factory.mktemp("store")))
    study = scripted_study(
        models={name: {"source": name, "engine": "scripted"} for name in ("small", "large", "judge")},
        evolution={"evolvers": ["small"], "rounds": 1},
        responses={"teachers": ["large"], "decodings": DECODINGS},
        scoring={"scorer": "small"},
        rewards=["judge"],
    )
    return store, run_offline(study, store, {"large": Moody(EngineSpec("scripted", "large"))})


def told(ran: tuple[Store, Grid]) -> Rewards:
    return Rewards(*ran, frozenset(ran[0].finished_keys()))


def rows(ran: tuple[Store, Grid], step: Step | None) -> list[Any]:
    assert step
    return from_table(ROW_TYPES[step.kind], ran[0].rows(step.kind, step.key))


def test_every_set_has_its_mean_and_quartiles(ran: tuple[Store, Grid]) -> None:
    shown = {(entry.set.round, entry.set.decoding): entry for entry in told(ran).rewards()}
    assert len(shown) == 6
    for pairs in ran[1].sets:
        rewards = sorted(row.reward for row in rows(ran, pairs.reward("judge")))
        entry = shown[pairs.round, pairs.decoding]
        assert (entry.set.teacher, entry.model, entry.rows, entry.skipped) == ("large", "judge", len(rewards), 0)
        assert entry.mean == pytest.approx(fmean(rewards))
        assert entry.low is not None and entry.median is not None and entry.high is not None
        assert rewards[0] <= entry.low <= entry.median <= entry.high <= rewards[-1]


def test_the_margin_is_taken_over_the_instructions_that_both_sets_answer(ran: tuple[Store, Grid]) -> None:
    shown = {entry.set.decoding: entry for entry in told(ran).rewards() if entry.set.round == 1}
    (best, worst) = (pairs for pairs in ran[1].sets if pairs.round == 1 and pairs.decoding != "short")
    means = []
    for pairs in (best, worst):
        drawn = {row.id: row.parent_id for row in rows(ran, pairs.responses.inputs[0])}
        asked = {row.id: drawn[row.parent_id] for row in rows(ran, pairs.responses)}
        means.append({asked[row.parent_id]: row.reward for row in rows(ran, pairs.reward("judge"))})
    shared = means[0].keys() & means[1].keys()
    assert 0 < len(shared) < 20, "some picks are empty"
    assert shown["best"].margin == 0 and shown["worst"].shared == len(shared)
    assert shown["worst"].margin == pytest.approx(fmean(means[1][row] - means[0][row] for row in shared))


def test_car_by_beta_comes_from_the_pairs_that_have_reward_and_loss(ran: tuple[Store, Grid]) -> None:
    (pairs,) = (pairs for pairs in ran[1].sets if pairs.round == 1 and pairs.decoding == "best")
    (entry,) = (
        one for one in told(ran).cars(Car(betas=[0.0, 2.0])) if (one.set.round, one.set.decoding) == (1, "best")
    )
    reward = fmean(row.reward for row in rows(ran, pairs.reward("judge")))
    loss = fmean(row.loss_conditional for row in rows(ran, pairs.scores))
    assert (entry.reward, entry.loss) == pytest.approx((reward, loss))
    assert entry.by_beta == ((0.0, pytest.approx(reward)), (2.0, pytest.approx(reward / (1 + 2 * loss))))


def test_the_shift_is_that_of_all_sets(ran: tuple[Store, Grid]) -> None:
    entries = told(ran).cars(Car(betas=[0.0], mode="shift"))
    least = min(entry.reward for entry in entries)
    assert [entry.by_beta[0][1] for entry in entries] == pytest.approx([entry.reward - least for entry in entries])


def test_flags_count_what_was_cut_off_empty_or_refused(ran: tuple[Store, Grid]) -> None:
    flags = {one.decoding: one for one in told(ran).flags()}
    steps = {pairs.responses.key: pairs.responses for pairs in ran[1].sets if pairs.decoding == "short"}.values()
    answers = [row for step in steps for row in rows(ran, step)]
    short = flags["short"]
    assert short.asked == 40 == len(answers) + short.empty and short.empty > 0
    assert short.truncated == sum(row.finish_reason == "length" for row in answers) > 0
    assert short.refused == sum(row.response.startswith("I cannot") for row in answers) > 0
    empty = {decoding: empty_choices(ran, decoding) for decoding in ("best", "worst")}
    assert all(flags[decoding].empty == len(found) > 0 for decoding, found in empty.items())
    assert empty["best"] != empty["worst"], "an empty candidate is judged like any other"


def empty_choices(ran: tuple[Store, Grid], decoding: str) -> set[str]:
    """The ids of the rows of candidates of which an empty one was chosen."""
    store, grid = ran
    steps = {pairs.responses.key: pairs.responses for pairs in grid.sets if pairs.decoding == decoding}.values()
    lost = (row for step in steps for row in store.rows(step.kind, step.key, "rejected").to_pylist())
    return {row["parent_id"] for row in lost if row["reason"] == "empty"}


def car_entry(model: str, reward: float, mode: RewardMode = "raw") -> SetCar:
    return SetCar(
        SetKey("<i>", "small", 1, "a|b", "best"), model, mode, 7, reward, 0.5, ((0.0, reward), (1.0, reward / 1.5))
    )


def test_negative_means_are_warned_of_by_model() -> None:
    (told,) = car_warnings([car_entry("judge", -1.0), car_entry("judge", 2.0), car_entry("critic", 1.0)])
    assert told.startswith("judge: 1 of 2 rewards are negative")
    assert car_warnings([car_entry("judge", -1.0, "sigmoid")]) == car_warnings([]) == ()


def with_rewards() -> Any:
    reward = SetReward(SetKey("<i>", "small", 1, "a|b", "best"), "judge", 7, 1, 0.25, -1.5, 0.1, None, -0.75, 6)
    flags = AnswerFlags("a|b", "best", 1200, 34, 5, 6)
    return replace(sample.sample(), rewards=(reward,), cars=(car_entry("judge", -3.0),), flags=(flags,))


def test_page_and_markdown_show_all_three_tables() -> None:
    page = re.sub(r"\s+", " ", render_html(with_rewards()))
    assert (
        "<td>&lt;i&gt;</td><td>small</td>" in page
        and "<i>" not in page.partition("Rewards</h3>")[2].split("</table>")[0]
    )
    assert "judge: 1 of 1 rewards are negative" in page and "1,200" in page
    text = render_markdown(with_rewards())
    assert r"| \<i\> | small | 1 | a\|b | best | judge | 7 | 1 | 0.250 | -1.50 | 0.100 | – | -0.750 |" in text
    assert r"| judge | 7 | -3.00 | 0.500 | -3.00 | -2.00 |" in text
    assert r"| a\|b | best | 1200 | 34 | 5 | 6 |" in text
    tables = re.findall(r"(?:^\|.*\n)+", text.partition("## Rewards")[2].partition("## Rounds")[0], re.M)
    assert len(tables) == 3
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1


def test_a_report_without_rewards_does_not_speak_of_them() -> None:
    for text in (render_html(sample.sample()), render_markdown(sample.sample())):
        assert not re.search(r"CAR|[Rr]eward|Flagged", text)


def test_the_numbers_are_written_as_files(tmp_path: Path) -> None:
    files = csv_files(with_rewards())
    assert files["rewards.csv"].splitlines()[1] == "<i>,small,1,a|b,best,,judge,7,1,0.25,-1.5,0.1,,-0.75,6"
    assert files["car.csv"].splitlines()[1].endswith('-3.0,0.5,"{""0.0"": -3.0, ""1.0"": -2.0}",')
    assert files["answers.csv"].splitlines() == [
        "teacher,decoding,asked,truncated,empty,refused",
        "a|b,best,1200,34,5,6",
    ]


def test_replies_that_became_candidates_count_as_the_teachers(ran: tuple[Store, Grid]) -> None:
    drawn = [row for step in ran[1].steps.values() if step.kind == "draw" for row in rows(ran, step)]
    texts = [text for row in drawn for text in row.candidates]
    replies = {
        (one.role, one.outcome): one.rows for one in Outcomes(*ran, frozenset(ran[0].finished_keys())).reply_outcomes()
    }
    assert replies["teacher", "accepted:empty"] == texts.count("") > 0
    answers = sum(rows for (role, _), rows in replies.items() if role == "teacher")
    assert answers == len(texts) + 40, "those drawn one by one, too"
