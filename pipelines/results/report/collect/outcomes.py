"""Counts the outcomes of rows in every round of evolution, and the outcomes of parsing every model's replies."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any, NamedTuple

from pipelines.operators.evolve.elimination import NO_GAIN, NO_VERDICT
from pipelines.operators.score.instruction_judge import NOT_JUDGED
from pipelines.results.report.data.report import ReplyOutcome, RoundOutcome
from pipelines.results.report.data.set_key import InstructionKey
from pipelines.rows.operator import NOT_EVOLVED
from pipelines.rows.types import ELIMINATED, KEPT
from pipelines.store.store import Store
from pipelines.study.graph.steps.grid import Grid
from pipelines.study.graph.steps.params.answers import CheckParams, RespondParams, SampleCandidatesParams
from pipelines.study.graph.steps.params.instructions import (
    AugmentParams,
    EliminateParams,
    EvolveParams,
    OptimizeParams,
    VerifyParams,
)
from pipelines.study.graph.steps.params.measures import JudgeParams
from pipelines.study.graph.steps.step import Step, StepParams

EVOLVED = "evolved"
# eliminations by the judge; all others happen before the judge is called
_JUDGE_OUTCOMES = {ELIMINATED + NO_GAIN, ELIMINATED + NO_VERDICT}


class Replies(NamedTuple):
    """The parsing outcomes of a model's replies in one role and one step."""

    model: str
    role: str
    outcomes: Counter[str]


class Outcomes:
    """Counts the outcomes in a grid's finished steps."""

    def __init__(self, store: Store, grid: Grid, done: frozenset[str]) -> None:
        self.store, self.grid, self.done = store, grid, done

    def round_outcomes(self) -> Iterator[RoundOutcome]:
        """Yield the outcomes by seeds, evolver and round: the share of evolved rows, then of each reason for others."""
        for last, place in self._rounds().items():
            if last.key not in self.done:
                continue
            if last.kind == "pair":
                last = last.inputs[0]  # the outcomes of the instructions that queries are paired with
            counts = self.rejection_outcomes(last)
            if last.kind == "eliminate":
                counts += self.rejection_outcomes(last.inputs[0])
            for outcome, rows in self.row_outcomes(last).items():
                counts[outcome if outcome.startswith((ELIMINATED, KEPT)) else EVOLVED] += rows
            for outcome, rows, rate in _rates(counts):
                yield RoundOutcome(*place, outcome, rows, rate)

    def _rounds(self) -> dict[Step, InstructionKey]:
        """Return the last step of every round, also of those that are only computed for a later one."""
        found: dict[Step, InstructionKey] = {}
        for pairs in self.grid.sets:
            if pairs.evolved_by and not pairs.union:  # a union's rows have the outcomes of its parts
                chain_of = [*_earlier_rounds(pairs.instructions, pairs.round), (pairs.instructions, pairs.round)]
                for step, number in chain_of:
                    found.setdefault(step, InstructionKey(pairs.seeds, pairs.evolved_by, number))
        return found

    def reply_outcomes(self) -> Iterator[ReplyOutcome]:
        """Yield the parsing outcomes of replies by model and role, over all steps."""
        counts: dict[tuple[str, str], Counter[str]] = {}
        for step in (step for key, step in self.grid.steps.items() if key in self.done):
            count = REPLIES.get(type(step.params))
            if replies := count(self, step, step.params) if count else None:
                counts.setdefault((replies.model, replies.role), Counter()).update(replies.outcomes)
        for (model, role), found in sorted(counts.items()):
            for outcome, rows, rate in _rates(found):
                yield ReplyOutcome(model, role, outcome, rows, rate)

    def draft_outcomes(self, step: Step) -> Counter[str]:
        """Count the parsing outcomes of an optimizer's replies; candidate 0 of each step is not a reply."""
        table = self.store.rows(step.kind, step.key, columns=["outcome", "candidate"])
        return Counter(row["outcome"] for row in table.to_pylist() if row["candidate"]) + self.rejection_outcomes(step)

    def draw_outcomes(self, step: Step) -> Counter[str]:
        """Count the parsing outcomes of the replies in a step of AutoIF, whether or not their rows were rejected."""
        if step.kind == "augment":
            return Counter(self.store.manifest(step.kind, step.key).extra["replies"])
        kept = chain.from_iterable(self.column(step, "rows", "outcomes"))
        lost = (each["outcome"] for raw in self.column(step, "rejected", "raw") if raw for each in json.loads(raw))
        return Counter(chain(kept, lost))

    def evolver_outcomes(self, step: Step) -> Counter[str]:
        """Count the parsing outcomes of an evolver's replies. An elimination by the reply itself is a rejection."""
        outcomes = {outcome.replace(ELIMINATED, "rejected:"): rows for outcome, rows in self.row_outcomes(step).items()}
        return Counter(outcomes) + self.rejection_outcomes(step)

    def judge_outcomes(self, step: Step) -> Counter[str]:
        """Count the parsing outcomes of a judge's replies. Rows that the judge did not see are not counted."""
        outcomes = self.row_outcomes(step)
        known = {
            outcome: rows
            for outcome, rows in outcomes.items()
            if outcome in _JUDGE_OUTCOMES or ELIMINATED not in outcome
        }
        return Counter(known) + self.rejection_outcomes(step)

    def judgement_outcomes(self, step: Step) -> Counter[str]:
        """Count the parsing outcomes of a judge's ratings of instructions. For keywords, a row has several replies."""
        found = Counter(chain.from_iterable(self.column(step, "rows", "outcomes")))
        rejected = self.store.rows(step.kind, step.key, "rejected", columns=["status", "reason", "raw"])
        for row in rejected.to_pylist():
            if row["reason"] in NOT_JUDGED:
                continue
            if isinstance(step.params, JudgeParams) and step.params.metric == "keywords" and row["raw"]:
                found.update(each["outcome"] for each in json.loads(row["raw"]))
            else:
                found[f"{row['status']}:{row['reason']}"] += 1
        return found

    def answer_outcomes(self, step: Step) -> Counter[str]:
        """Count the parsing outcomes of a teacher's answers. Rows that are only passed to the next round have none."""
        found = Counter(self.column(step, "rows", "finish_reason"))
        return Counter({"accepted": found["stop"], "accepted:truncated": found["length"]}) + self.failed_requests(step)

    def candidate_outcomes(self, step: Step) -> Counter[str]:
        """Count the outcomes of a teacher's replies if it samples several per row. Empty ones stay candidates."""
        texts, ends = (
            chain.from_iterable(self.column(step, "rows", name)) for name in ("candidates", "finish_reasons")
        )
        flags = {"stop": "accepted", "length": "accepted:truncated"}
        found = Counter(flags[end] if text else "accepted:empty" for text, end in zip(texts, ends, strict=True))
        return found + self.failed_requests(step)

    def failed_requests(self, step: Step) -> Counter[str]:
        """Count the rows that a teacher was asked about without success, by reason."""
        lost = self.rejection_outcomes(step)
        del lost[f"rejected:{NOT_EVOLVED}"]
        return lost

    def row_outcomes(self, step: Step) -> Counter[str]:
        """Count the outcomes of a step's rows. Verified rows, which have no such column, count as evolved."""
        if step.kind == "verify":
            return Counter({EVOLVED: self.store.manifest(step.kind, step.key).account.rows_out})
        return Counter(self.column(step, "rows", "outcome"))

    def rejection_outcomes(self, step: Step) -> Counter[str]:
        """Count a step's rejections, as `rejected:<reason>` and `failed:<reason>`."""
        found = Counter[str]()
        for table in self.store.tables(step.kind, step.key, "rejected", columns=["status", "reason"]):
            found.update(f"{row['status']}:{row['reason']}" for row in table.to_pylist())
        return found

    def column(self, step: Step, file: str, name: str) -> Iterator[Any]:
        """Yield the values of one column of a step's file."""
        for table in self.store.tables(step.kind, step.key, file, columns=[name]):
            yield from table.column(name).to_pylist()


def _earlier_rounds(step: Step, number: int) -> list[tuple[Step, int]]:
    """Return the last steps of the rounds before a round, with their numbers. AutoIF's rounds have none before them."""
    while step.kind == "eliminate":
        step = step.inputs[0]
    before = step.inputs[0]
    if number == 1 or step.kind == "pair" or before.kind == "seeds":
        return []
    return [*_earlier_rounds(before, number - 1), (before, number - 1)]


def _rates(counts: Mapping[str, int]) -> Iterator[tuple[str, int, float]]:
    """Yield (outcome, rows, percentage of all): successes first, then by frequency."""
    whole = sum(counts.values())
    order = sorted(counts, key=lambda name: (name.split(":")[0] not in (EVOLVED, "accepted"), -counts[name], name))
    return ((name, counts[name], 100.0 * counts[name] / whole) for name in order)


def _optimizer(outcomes: Outcomes, step: Step, params: OptimizeParams) -> Replies:
    return Replies(params.optimization.optimizer, "optimizer", outcomes.draft_outcomes(step))


def _evolver(outcomes: Outcomes, step: Step, params: EvolveParams) -> Replies:
    return Replies(params.model, "evolver", outcomes.evolver_outcomes(step))


def _evolution_judge(outcomes: Outcomes, step: Step, params: EliminateParams) -> Replies:
    return Replies(params.model, "judge", outcomes.judge_outcomes(step))


def _instruction_judge(outcomes: Outcomes, step: Step, params: JudgeParams) -> Replies | None:
    if params.metric == "reward":  # a reward is a number, which is not parsed
        return None
    return Replies(params.model, f"judge: {params.metric}", outcomes.judgement_outcomes(step))


def _format_writer(outcomes: Outcomes, step: Step, params: AugmentParams) -> Replies:
    return Replies(params.model, "writer of formats", outcomes.draw_outcomes(step))


def _verifier(outcomes: Outcomes, step: Step, params: VerifyParams) -> Replies:
    return Replies(params.model, "verifier", outcomes.draw_outcomes(step))


def _answer_judge(outcomes: Outcomes, step: Step, params: CheckParams) -> Replies:
    return Replies(params.model, "judge of answers", outcomes.draw_outcomes(step))


def _teacher(outcomes: Outcomes, step: Step, params: RespondParams) -> Replies:
    return Replies(params.model, "teacher", outcomes.answer_outcomes(step))


def _candidate_teacher(outcomes: Outcomes, step: Step, params: SampleCandidatesParams) -> Replies:
    return Replies(params.model, "teacher", outcomes.candidate_outcomes(step))


REPLIES: dict[type[StepParams], Callable[[Outcomes, Step, Any], Replies | None]] = {
    OptimizeParams: _optimizer,
    EvolveParams: _evolver,
    EliminateParams: _evolution_judge,
    JudgeParams: _instruction_judge,
    AugmentParams: _format_writer,
    VerifyParams: _verifier,
    CheckParams: _answer_judge,
    RespondParams: _teacher,
    SampleCandidatesParams: _candidate_teacher,
}
"""The parsing outcomes of a step's replies, by the class of its parameters, for steps whose replies are parsed."""
