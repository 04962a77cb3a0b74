"""What a judge is asked about an instruction, what its word comes to, and which steps a study has for it."""

from __future__ import annotations

import asyncio
import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import prompts
from actors.engine import EngineSpec, GenerateRequest, Generation
from actors.engines.scripted_engine import ScriptedEngine
from pipelines.execution.runtime.commit import commit_rows
from pipelines.execution.stream.worker import apply_operator
from pipelines.operators.score.instruction_judge import JudgeInstruction, is_sampled
from pipelines.results.report.collect.judgement_stats import (
    TAGGED_SAMPLE,
    count_distinct,
    count_labels,
    label_shares,
    mean_score,
    tag_diversity,
)
from pipelines.results.report.collect.outcomes import Outcomes
from pipelines.rows.arrow import from_table
from pipelines.rows.types import InstructionRow, JudgementRow, Rejection, Row
from pipelines.store.store import Store
from pipelines.study.graph.build import build
from pipelines.study.spec.pairs.scoring import Question
from pipelines.study.spec.study import Study
from prompts import Catalog
from prompts.parse import PARSERS
from tests.support.offline import run_offline
from tests.support.studies import scripted_study

LISTED = "#Methods List#:\n1. Add a limit.\n2. Ask why.\n3. Set a limit.\n\n#Plan#:\nAll.\n"
ROW = InstructionRow("a" * 32, "", "a" * 32, 3, 1, "auto", "Name a bird.", "In Peru.", "", LISTED, "accepted", 0, 0)


class Says(ScriptedEngine):
    """A judge whose words are given by the last line of what it is asked."""

    def __init__(self, word: Callable[[str], str]) -> None:
        super().__init__(EngineSpec("scripted", "judge"))
        self.word = word
        self.asked: list[GenerateRequest] = []

    async def generate(self, request: GenerateRequest) -> Generation:
        self.asked.append(request)
        return Generation(request.id, self.word(request.messages[-1][1].splitlines()[-1]), "stop", 1, 1)


def judged(engine: Says, metric: Question, row: InstructionRow = ROW) -> Row:
    return asyncio.run(apply_operator(JudgeInstruction(engine, metric, 7), row, "c" * 32))


@pytest.mark.parametrize(
    ("metric", "word", "labels", "scores"),
    [
        ("difficulty", " hard\n", ["hard"], []),
        ("difficulty_score", " 80 ", [], [80.0]),
        ("category", "Information", ["information"], []),
    ],
)
def test_an_instruction_is_judged_without_its_input(
    metric: Question, word: str, labels: list[str], scores: list[float]
) -> None:
    engine = Says(lambda _: word)
    made = judged(engine, metric)
    assert isinstance(made, JudgementRow)
    assert (made.metric, made.labels, made.scores, made.raw) == (metric, labels, scores, [word])
    assert (made.parent_id, made.seed_id, made.index) == (ROW.id, ROW.seed_id, 3)
    (asked,) = engine.asked
    assert asked.messages == (("user", prompts.get(metric).render(instruction="Name a bird.")),)
    assert (asked.sampling.temperature, asked.sampling.max_tokens) == (0, 7)


@pytest.mark.parametrize(
    ("metric", "word", "reason"),
    [
        ("difficulty", "harder", "not_a_label"),
        ("difficulty", "easy or hard", "two_labels"),
        ("difficulty_score", "high", "not_a_number"),
        ("category", "birds", "not_a_category"),
    ],
)
def test_a_reply_that_says_none_of_it_is_a_rejection_that_keeps_it(metric: Question, word: str, reason: str) -> None:
    made = judged(Says(lambda _: word), metric)
    assert isinstance(made, Rejection) and (made.status, made.reason, made.raw) == ("rejected", reason, word)


@pytest.mark.parametrize("word", ["high", "nan"])
def test_a_score_that_a_plug_in_reads_has_to_be_a_number(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setitem(PARSERS, "mine", lambda reply: prompts.Reply(reply, "accepted"))
    catalog = Catalog((replace(prompts.get("difficulty_score"), parser="mine"),))
    judge = JudgeInstruction(Says(lambda _: word), "difficulty_score", 7, catalog=catalog)
    made = asyncio.run(apply_operator(judge, ROW, "c" * 32))
    assert isinstance(made, Rejection) and made.reason == "not_a_number"


def test_every_reply_about_a_list_counts_also_where_none_can_be_read(tmp_path: Path) -> None:
    names = iter(["", "a sentence\nand another", "", "", "limits", ""])
    unread, read = (judged(Says(lambda _: next(names)), "keywords", replace(ROW, index=index)) for index in (3, 4))
    assert isinstance(unread, Rejection) and unread.reason == "empty" and isinstance(read, JudgementRow)
    auto = {"method": "auto-evol-instruct", "evolvers": ["small"], "rounds": 1}
    grid = build(scripted_study(evolution=auto, judging=JUDGING | {"metrics": ["keywords"]}), tmp_path)
    store, step = Store(str(tmp_path)), next(step for step in grid.steps.values() if step.kind == "judge")
    undone = replace(unread, reason="no_method_list", raw="Name a rare bird.")
    failed = replace(unread, status="failed", reason="too_long", raw="")
    commit_rows(store, step, [read], [unread, undone, failed], 4, 0.0)
    found = {each.outcome: each.rows for each in Outcomes(store, grid, store.finished_keys()).reply_outcomes()}
    assert found == {"accepted": 1, "rejected:empty": 4, "rejected:not_a_name": 1, "failed:too_long": 1}


def test_every_line_of_a_list_is_named_and_equal_names_count_once() -> None:
    names = {"1. Add a limit.": "Limits", "2. Ask why.": "a sentence\nand another", "3. Set a limit.": "limits"}
    engine = Says(lambda line: names[line.removeprefix("Line: ")])
    made = judged(engine, "keywords")
    assert isinstance(made, JudgementRow) and made.labels == ["limits"]
    assert made.outcomes == ["repaired:name", "rejected:not_a_name", "accepted"]
    assert len({request.id for request in engine.asked}) == 3
    other = replace(made, labels=["limits", "reasons"])
    assert count_distinct([made, other]) == 2


def test_tags_are_labels_and_their_number_is_the_score() -> None:
    engine = Says(lambda _: 'Tags: ["Travel plans", "travel_plan", "Word limit"]')
    made = judged(engine, "tags")
    assert isinstance(made, JudgementRow) and (made.labels, made.scores) == (["travel plan", "word limit"], [2.0])
    assert made.outcomes == ["repaired:list"]
    none = judged(Says(lambda _: "[]"), "tags")
    assert isinstance(none, JudgementRow) and (none.labels, none.scores, none.outcomes) == ([], [0.0], ["accepted"])
    some = [replace(made, id=f"{n:032x}", labels=["travel plan", f"tag {n % 150}"]) for n in range(200)]
    assert tag_diversity(some) == (1 + TAGGED_SAMPLE) / TAGGED_SAMPLE and tag_diversity([]) is None
    assert tag_diversity(some[::-1]) == tag_diversity(some)


def test_a_share_of_the_seeds_is_judged_and_the_same_in_every_set() -> None:
    engine = Says(lambda _: "hard")
    seeds = [replace(ROW, seed_id=f"{n:032x}", index=n) for n in range(400)]
    made = [
        asyncio.run(apply_operator(JudgeInstruction(engine, "difficulty", 7, share=0.25), row, "c" * 32))
        for row in seeds
    ]
    chosen = {row.seed_id for row in made if isinstance(row, JudgementRow)}
    assert 70 < len(chosen) < 130 and len(engine.asked) == len(chosen)
    assert {row.reason for row in made if isinstance(row, Rejection)} == {"not_sampled"}
    assert chosen == {row.seed_id for row in seeds if is_sampled(row.seed_id, 0.25)}
    assert chosen <= {row.seed_id for row in seeds if is_sampled(row.seed_id, 0.5)}


def test_an_evolution_without_a_list_is_a_rejection() -> None:
    engine = Says(lambda _: "name")
    made = judged(engine, "keywords", replace(ROW, raw="Name a rare bird."))
    assert isinstance(made, Rejection) and made.reason == "no_method_list" and not engine.asked


def test_an_evolution_that_was_undone_is_not_judged() -> None:
    engine = Says(lambda _: "hard")
    made = judged(engine, "difficulty", replace(ROW, outcome="eliminated:no_gain"))
    assert isinstance(made, Rejection) and made.reason == "not_evolved" and not engine.asked


def rows(*found: list[str], scores: tuple[float, ...] = ()) -> list[JudgementRow]:
    row = JudgementRow("", "", "", 0, "difficulty", [], [], [], [])
    return [replace(row, labels=labels) for labels in found] + [replace(row, scores=[score]) for score in scores]


def test_shares_are_of_all_rows_and_means_of_those_with_a_score() -> None:
    found = rows(["hard"], ["medium"])
    assert count_labels(found, prompts.DIFFICULTY_LABELS) == dict(
        zip(prompts.DIFFICULTY_LABELS, (0, 0, 1, 1, 0), strict=True)
    )
    assert label_shares(count_labels(found, ("medium", "hard")), 4) == {"medium": 25.0, "hard": 25.0}
    assert mean_score(rows(scores=(70.0, 80.0))) == 75.0
    assert mean_score([]) is None and label_shares({"hard": 0}, 0) == {"hard": 0.0}


def test_published_counts_give_shares_of_all_their_rows(shared_data: Path) -> None:
    file = shared_data.parent / "specs" / "slm_fig2_difficulty_counts.csv"
    if not file.is_file():
        pytest.skip(f"no {file.name} beside the data sets")
    published = list(csv.DictReader(file.open()))
    assert published
    for line in published:
        counts = {label: int(line[label.replace(" ", "_")]) for label in prompts.DIFFICULTY_LABELS}
        total = int(line["total"])
        assert sum(counts.values()) == int(line["labelled"]) == total - int(line["unlabelled"])
        assert sum(label_shares(counts, total).values()) == pytest.approx(100 - 100 * int(line["unlabelled"]) / total)


JUDGING: dict[str, Any] = {"judge": "large", "metrics": ["difficulty", "difficulty_score", "category", "keywords"]}


def judge_steps(study: Study) -> list[str]:
    return [step.label for step in build(study, Path()).steps.values() if step.kind == "judge"]


def test_all_instructions_are_judged_once_whoever_answers_them() -> None:
    metrics = [name for name in JUDGING["metrics"] if name != "keywords"]
    places = ["world", *(f"world {name} r{number}" for name in ("small", "large") for number in (1, 2))]
    expected = {f"judge {metric} of {place}" for metric in metrics for place in places}
    found = judge_steps(scripted_study(judging=JUDGING))
    assert set(found) == expected and len(found) == len(expected)


def test_keywords_are_of_the_evolvers_own_replies() -> None:
    auto = {"method": "auto-evol-instruct", "evolvers": ["small"], "rounds": 1, "elimination": {}}
    grid = build(scripted_study(evolution=auto, judging=JUDGING | {"metrics": ["keywords"]}), Path())
    (step,) = (step for step in grid.steps.values() if step.kind == "judge")
    assert step.inputs[0].kind == "evolve" and step.label == "judge keywords of world small r1"


def test_another_metric_leaves_the_steps_of_the_others_as_they_are() -> None:
    one, two = (
        {step.key for step in build(scripted_study(judging=JUDGING | {"metrics": names}), Path()).steps.values()}
        for names in (["category"], ["category", "difficulty"])
    )
    assert one < two
    longer = scripted_study(judging=JUDGING | {"metrics": ["category"], "max_tokens": 9})
    keys = {step.key for step in build(longer, Path()).steps.values()}
    assert len(one - keys) == len(keys - one) == 5


def test_a_study_accounts_for_every_judged_row(tmp_path: Path) -> None:
    levels = iter(["easy", "so so", "hard", "medium"] * 100)
    store = Store(str(tmp_path))
    study = scripted_study(
        judging=JUDGING | {"metrics": ["difficulty"]},
        evolution={"evolvers": ["small"], "rounds": 1},
        responses={"teachers": ["small"]},
    )
    judge = Says(lambda _: next(levels))
    grid = run_offline(study, store, {"large": judge})
    steps = [step for step in grid.steps.values() if step.kind == "judge"]
    assert len(steps) == 2
    for step in steps:
        account = store.manifest("judge", step.key).account
        assert (account.rows_in, account.rows_out, account.reasons) == (20, 15, {"not_a_label": 5})
        found = from_table(JudgementRow, store.rows("judge", step.key))
        assert count_labels(found, ("easy", "medium", "hard")) == {"easy": 5, "medium": 5, "hard": 5}
