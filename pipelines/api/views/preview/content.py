"""What a preview shows of each seed: the rounds of every evolver, the answers to them, and their scores."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any

from pipelines.execution.previewing.model import Preview, PreviewNode
from pipelines.results.report.tables.word_diff import Segment, segments
from pipelines.rows.types import (
    CandidatesRow,
    InstructionRow,
    JudgementRow,
    Rejection,
    ResponseRow,
    RewardRow,
    Row,
    ScoreRow,
)
from pipelines.study.spec.pairs.selection import METRICS

_ROUND = re.compile(r" r\d+$")
_SCORES = {spec.column: spec.label or name for name, spec in METRICS.items() if spec.needs == ("score",) and spec.label}


@dataclass(slots=True)
class Problem:
    """Why a row is missing. `status` is "rejected" or "failed", `text` what the model wrote."""

    step: str
    status: str
    reason: str
    detail: str
    text: str


@dataclass(slots=True)
class AnswerView:
    """An answer with its scores. `flags` are "cut off" and "refusal"."""

    teacher: str
    text: str
    tokens: int
    dollars: float | None
    flags: list[str] = field(default_factory=list[str])
    facts: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    problems: list[Problem] = field(default_factory=list[Problem])


@dataclass(slots=True)
class RoundView:
    """An instruction of a round, as pieces of text compared with the round before, and the answers to it."""

    round: int
    pieces: list[Segment]
    tokens: int = 0
    dollars: float | None = None
    input: str = ""
    facts: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    problems: list[Problem] = field(default_factory=list[Problem])
    answers: list[AnswerView] = field(default_factory=list[AnswerView])

    @property
    def text(self) -> str:
        """The instruction."""
        return "".join(piece.text for piece in self.pieces if piece.change != "removed")


@dataclass(slots=True)
class SeedView:
    """A seed (round 0), and the rounds of each evolver by its name."""

    seeds: str
    index: int
    id: str
    start: RoundView
    evolvers: dict[str, list[RoundView]] = field(default_factory=dict[str, list[RoundView]])

    @property
    def rounds(self) -> list[int]:
        """The numbers of all rounds after the seed."""
        return sorted({each.round for rounds in self.evolvers.values() for each in rounds})


@dataclass(frozen=True, slots=True)
class Facts:
    """The shares and means of a preview's rows."""

    instructions: int
    answers: int
    cut_off: int
    refusals: int
    mean_tokens: float
    problems: list[tuple[int, Problem]]


def seed_views(preview: Preview) -> list[SeedView]:
    """Return what to show of each seed."""
    return [_seed_view(node) for node in preview.seeds]


def facts_of(preview: Preview) -> Facts:
    """Return the shares of cut-off answers and refusals, and the problems with how often they occur."""
    answers = preview.answers()
    counted = Counter[tuple[str, str, str]]()
    first: dict[tuple[str, str, str], Problem] = {}
    for node in preview.rejections():
        problem = _problem(node)
        key = (problem.step, problem.status, problem.reason)
        counted[key] += 1
        first.setdefault(key, problem)
    return Facts(
        len(preview.instructions()),
        len(answers),
        sum(row.finish_reason == "length" for row in answers),
        sum(row.refused for row in answers),
        sum(row.tokens_out for row in answers) / max(1, len(answers)),
        [(count, first[key]) for key, count in counted.most_common()],
    )


def _seed_view(node: PreviewNode) -> SeedView:
    row = node.row
    assert isinstance(row, InstructionRow)
    view = SeedView(
        node.step.subject, row.index, row.id, RoundView(0, [Segment("same", row.instruction)], input=row.input)
    )
    _fill(view, view.start, node, row.instruction)
    return view


def _fill(view: SeedView, current: RoundView, node: PreviewNode, before: str) -> None:
    """Add what was made of an instruction: facts and answers to its round, and further rounds to its evolver."""
    for child in node.children:
        row = child.row
        if child.step.kind == "evolve":
            name = _ROUND.sub("", child.step.subject.removeprefix(view.seeds).strip())
            number = getattr(child.step.params, "round", current.round + 1)
            evolved = _evolved(child, number, before)
            view.evolvers.setdefault(name, []).append(evolved)
            _fill(view, evolved, child, row.instruction if isinstance(row, InstructionRow) else before)
        elif isinstance(row, InstructionRow):  # passed by an elimination: the same instruction
            _add_usage(current, child)
            _fill(view, current, child, before)
        elif isinstance(row, ResponseRow | CandidatesRow):
            current.answers += _answers(child)
        elif isinstance(row, Rejection) and child.step.kind in ("respond", "draw", "choose", "given"):
            teacher = child.step.label.split(" / ")[-1]
            current.answers.append(AnswerView(teacher, "", 0, child.dollars, problems=[_problem(child)]))
        elif isinstance(row, Rejection):
            current.problems.append(_problem(child))
        else:
            current.facts += _row_facts(child)


def _evolved(node: PreviewNode, number: int, before: str) -> RoundView:
    tokens = node.tokens_in + node.tokens_out
    if isinstance(node.row, InstructionRow):
        return RoundView(number, segments(before, node.row.instruction), tokens, node.dollars, node.row.input)
    return RoundView(number, [], tokens, node.dollars, problems=[_problem(node)])


def _add_usage(view: RoundView, node: PreviewNode) -> None:
    view.tokens += node.tokens_in + node.tokens_out
    view.dollars = None if view.dollars is None else view.dollars + (node.dollars or 0.0)


def _answers(node: PreviewNode) -> Iterator[AnswerView]:
    row, teacher = node.row, node.step.label.split(" / ")[-1]
    if isinstance(row, CandidatesRow):
        for child in node.children:
            yield from _answers(child) if isinstance(child.row, ResponseRow) else ()
        return
    assert isinstance(row, ResponseRow)
    flags = [*(["cut off"] if row.finish_reason == "length" else []), *(["refusal"] if row.refused else [])]
    view = AnswerView(teacher, row.response, row.tokens_out, node.dollars, flags)
    for child in node.children:
        if child.rejection:
            view.problems.append(_problem(child))
        else:
            view.facts += _row_facts(child)
    yield view


def _problem(node: PreviewNode) -> Problem:
    row = node.row
    assert isinstance(row, Rejection)
    return Problem(node.step.label, row.status, row.reason, row.detail, row.raw)


def _row_facts(node: PreviewNode) -> list[tuple[str, str]]:
    row: Any = node.row
    if isinstance(row, ScoreRow):
        unasked = {each.name for each in fields(row) if getattr(row, each.name) == each.default}
        return [(label, _number(getattr(row, column))) for column, label in _SCORES.items() if column not in unasked]
    if isinstance(row, RewardRow):
        return [(f"reward by {node.step.params.model}", _number(row.reward))]
    if isinstance(row, JudgementRow):
        return [(row.metric, ", ".join([*row.labels, *map(_number, row.scores)]) or "none")]
    own = [each.name for each in fields(row) if each.name not in Row.__dataclass_fields__]
    return [(name, _number(getattr(row, name))) for name in own if isinstance(getattr(row, name), int | float)]


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
