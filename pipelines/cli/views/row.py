"""Prints a row's chain for `evolgrid show`: the prompt, model, reply and outcome of every step."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, fields
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipelines.cli.views.answer import answer_facts
from pipelines.cli.views.autoif import checked_facts, format_facts, paired_facts, verified_facts
from pipelines.cli.views.request import (
    SHORT_ID_CHARS,
    Facts,
    conversation_facts,
    describe_sampling,
    request_facts,
)
from pipelines.operators.evolve.failure_detector import CLASSES
from pipelines.results.lineage import ROW_FILES, Lineage, Link
from pipelines.rows.types import (
    AnswerRow,
    CandidatesRow,
    CheckedRow,
    ChosenRow,
    ContaminationRow,
    DiversityRow,
    FormatRow,
    InstructionRow,
    JudgementRow,
    MethodRow,
    PairedRow,
    PairRow,
    Rejection,
    ResponseRow,
    Row,
    VerifiedRow,
)
from pipelines.study.graph.steps.params.instructions import OptimizeParams
from pipelines.study.graph.steps.params.students import SelectParams
from pipelines.study.graph.steps.step import Step

SAMPLES_PER_STEP = 2
NAME_WIDTH = 13
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def show_chain(console: Console, links: list[Link[Step]], study_seed: int) -> None:
    """Print the links from the seed down."""
    for link in links:
        _print_field(console, f"{link.step.label}, row {link.row.index}", link.row.id, style="bold")
        for name, value in (*request_facts(link, study_seed), *row_facts(link.step, link.row)):
            _print_field(console, f"  {name}", str(value))
        console.print()


def show_samples(console: Console, lineage: Lineage[Step]) -> None:
    """Print a few ids of the rows and of the rejections of every finished step."""
    table = Table("step", "rows", "not passed on")
    for step in lineage.steps:
        shown = [lineage.ids_of(step, file)[:SAMPLES_PER_STEP] for file in ROW_FILES]
        table.add_row(step.label, *("  ".join(row[:SHORT_ID_CHARS] for row in ids) for ids in shown))
    console.print(table if lineage.steps else "No step of this study is finished yet: run it first.")


def _print_field(console: Console, name: str, value: str, style: str = "") -> None:
    """Print a name and its value. Further lines of the value are aligned with its first one."""
    printable = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", value.replace("\r\n", "\n"))
    indented = printable.replace("\n", "\n" + " " * (NAME_WIDTH + 2))
    console.print(Text(f"{name:<{NAME_WIDTH}}  {indented}", style=style), soft_wrap=True)


def row_facts(step: Step, row: Row) -> Facts:
    """Return the facts of a row: the reply to its request, and the step's outcome."""
    return next(FACTS[each] for each in type(row).__mro__ if each in FACTS)(row, step)


def _own_facts(row: Row, step: Step) -> Facts:
    """Yield the fields that are specific to the row's type."""
    common = {field.name for field in fields(Row)}
    yield from ((name, _format_value(value)) for name, value in asdict(row).items() if name not in common)


def _format_value(value: object) -> str:
    if isinstance(value, list):
        return " ".join(map(_format_value, value))  # pyright: ignore[reportUnknownArgumentType]
    return f"{value:.6g}" if isinstance(value, int | float) else str(value)


def _rejection_facts(row: Rejection, step: Step) -> Facts:
    yield row.status, f"{row.reason}: {row.detail}" if row.detail else row.reason
    if row.raw:
        yield "reply", row.raw


def _method_facts(row: MethodRow, step: Step) -> Facts:
    assert isinstance(step.params, OptimizeParams)
    spec = step.params.optimization
    yield "optimizer", f"{spec.optimizer}, {describe_sampling(spec.sampling)}"
    yield "step", f"{row.step}, " + (f"candidate {row.candidate}" if row.candidate else "the method it began with")
    if row.candidate:
        yield "feedback", row.feedback
        yield "reply", row.raw
        yield "outcome", row.outcome
    yield "method", row.method
    failed = ", ".join(f"{name.replace('_', ' ')} {count}" for name in CLASSES if (count := getattr(row, name)))
    yield "failures", f"{100 * row.failure_rate:.1f} % of {row.measured}" + (f": {failed}" if failed else "")
    yield "chosen", ("best of all" if row.best else "for the next step") if row.chosen else "no"


def _instruction_facts(row: InstructionRow, step: Step) -> Facts:
    if row.thoughts:
        yield "thoughts", row.thoughts
    if step.kind != "seeds":
        yield "reply", row.raw if row.raw.strip() != row.evolved else "(the instruction, as it is)"
        unevolved = row.eliminated or row.kept
        yield "outcome", f"{row.outcome}: the instruction from before is passed on" if unevolved else row.outcome
    yield from conversation_facts(row)
    yield "instruction", row.instruction
    if row.input:
        yield "input", row.input
    if row.reference:
        yield "reference", row.reference
    if row.answer and step.kind == "evolve":
        yield "own answer", row.answer


def _response_facts(row: ResponseRow, step: Step) -> Facts:
    yield "outcome", "accepted" if row.finish_reason == "stop" else "accepted, cut off at the token limit"
    if isinstance(row, ChosenRow):
        yield from _choice_facts(row)
    if row.refused:
        yield "refused", "yes (starts like a refusal)"
    if row.thoughts:
        yield "thoughts", row.thoughts
    yield "answer", row.response


def _choice_facts(row: ChosenRow) -> Facts:
    rewards = zip(row.judged, row.rewards, strict=True)
    yield "rewards", ", ".join(f"candidate {number}: {reward:.6g}" for number, reward in rewards)
    yield "chosen", f"candidate {row.chosen}"


def _checked_facts(row: CheckedRow, step: Step) -> Facts:
    yield from _response_facts(row, step)
    yield from checked_facts(row, step)


def _candidates_facts(row: CandidatesRow, step: Step) -> Facts:
    yield from ((f"candidate {number}", text) for number, text in enumerate(row.candidates))


def _diversity_facts(row: DiversityRow, step: Step) -> Facts:
    yield "nearest", f"{row.nearest}, at a squared distance of {row.distance:.6g}; {row.repeats} are near repeats"


def _contamination_facts(row: ContaminationRow, step: Step) -> Facts:
    found = zip(row.sources, row.measures, row.tasks, row.values, row.shared, strict=True)
    for source, measure, task, value, shared in found:
        yield "overlaps", f"{source}, task {task}, {measure} {value:g}: {shared}"
    if not row.sources:
        yield "overlaps", "with nothing"


def _judgement_facts(row: JudgementRow, step: Step) -> Facts:
    yield row.metric, ", ".join([*row.labels, *(f"{score:g}" for score in row.scores)])


def _pair_facts(row: PairRow, step: Step) -> Facts:
    assert isinstance(step.params, SelectParams)
    yield "chosen by", f"{step.params.selection.by}: {row.score:.6g}"
    if step.params.share < 1:
        yield "for", f"a partial training on {100 * step.params.share:.4g} % of the chosen pairs"


def _answer_facts(row: AnswerRow, step: Step) -> Facts:
    return answer_facts(row, judged=step.kind == "verdict")


FACTS: dict[type[Row], Callable[[Any, Step], Facts]] = {
    Row: _own_facts,
    Rejection: _rejection_facts,
    FormatRow: format_facts,
    VerifiedRow: verified_facts,
    PairedRow: paired_facts,
    MethodRow: _method_facts,
    InstructionRow: _instruction_facts,
    ResponseRow: _response_facts,
    CheckedRow: _checked_facts,
    CandidatesRow: _candidates_facts,
    DiversityRow: _diversity_facts,
    ContaminationRow: _contamination_facts,
    JudgementRow: _judgement_facts,
    PairRow: _pair_facts,
    AnswerRow: _answer_facts,
}
"""The facts of a row of a step, by the row's type. A type without an entry is shown like its nearest base class."""
