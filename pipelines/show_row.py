"""The chain of a row in the terminal: what was asked of whom, what came back, and what was made of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, fields

from rich.console import Console
from rich.table import Table
from rich.text import Text

import prompts
from pipelines.evolve.methods import prompt_name
from pipelines.lineage import FILES, Lineage, Link
from pipelines.rows import InstructionRow, PairRow, Rejection, ResponseRow, Row, ScoreRow
from pipelines.study.spec import SamplingSpec
from pipelines.study.steps import EliminateJob, EvolveJob, RespondJob, ScoreJob, SelectJob, Step

Facts = Iterator[tuple[str, object]]

SHORT = 12
SAMPLES = 2
WIDTH = 13
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_ROLES = {EvolveJob: "evolver", EliminateJob: "judge", RespondJob: "teacher", ScoreJob: "scorer"}


def show_chain(console: Console, links: list[Link], study_seed: int) -> None:
    """Print the links from the seed down."""
    for link in links:
        _line(console, f"{link.step.label}, row {link.row.index}", link.row.id, style="bold")
        for name, value in _facts(link, study_seed):
            _line(console, f"  {name}", str(value))
        console.print()


def show_samples(console: Console, lineage: Lineage) -> None:
    """Print a few ids of every finished step, of rows and of what was not passed on."""
    table = Table("step", "rows", "not passed on")
    for step in lineage.steps:
        shown = [lineage.ids_of(step, file)[:SAMPLES] for file in FILES]
        table.add_row(step.label, *("  ".join(row[:SHORT] for row in ids) for ids in shown))
    console.print(table if lineage.steps else "No step of this study is finished yet: run it first.")


def _line(console: Console, name: str, value: str, style: str = "") -> None:
    """A name and its value; further lines of the value stand below its first one."""
    told = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", value.replace("\r\n", "\n"))
    indented = told.replace("\n", "\n" + " " * (WIDTH + 2))
    console.print(Text(f"{name:<{WIDTH}}  {indented}", style=style), soft_wrap=True)


def _facts(link: Link, study_seed: int) -> Facts:
    step, row = link.step, link.row
    yield from _asked(step, row, study_seed)
    if isinstance(row, Rejection):
        yield row.status, f"{row.reason}: {row.detail}" if row.detail else row.reason
        if row.raw:
            yield "reply", row.raw
    elif isinstance(row, InstructionRow):
        yield from _instruction(step, row)
    elif isinstance(row, ResponseRow):
        yield "outcome", "accepted" if row.finish_reason == "stop" else "accepted, cut off at the token limit"
        yield "answer", row.response
    elif isinstance(row, ScoreRow):
        own = {field.name for field in fields(Row)}
        yield from ((name, f"{value:.6g}") for name, value in asdict(row).items() if name not in own)
    elif isinstance(row, PairRow) and isinstance(step.job, SelectJob):
        yield "chosen by", f"{step.job.selection.by}: {row.score:.6g}"


def _asked(step: Step, row: Row, study_seed: int) -> Facts:
    """Which model was asked what, and how it was to draw."""
    job = step.job
    if isinstance(job, EvolveJob | EliminateJob | RespondJob | ScoreJob):
        yield _ROLES[type(job)], f"{job.model} ({_model(step)})"
    if isinstance(job, EvolveJob):
        method = job.method(row.index, row.seed_id, study_seed)
        yield "round", job.round
        yield "method", f"{method} ({job.assignment} over {', '.join(job.methods)})"
        yield "prompt", _prompt(step, prompt_name(method))
    if isinstance(job, EliminateJob):
        yield "prompt", _prompt(step, "equality")
    if isinstance(job, RespondJob) and isinstance(row, ResponseRow):
        yield "prompt", _prompt(step, "answer_with_input" if row.input else "answer")
    if isinstance(job, EvolveJob | RespondJob):
        yield "sampling", _sampling(job.sampling)


def _instruction(step: Step, row: InstructionRow) -> Facts:
    if step.kind != "seeds":
        yield "reply", row.raw if row.raw.strip() != row.instruction else "(the instruction, as it is)"
        yield "outcome", f"{row.outcome}: the un-evolved instruction goes on" if row.eliminated else row.outcome
    yield "instruction", row.instruction
    if row.input:
        yield "input", row.input
    if row.reference:
        yield "reference", row.reference
    if row.answer and step.kind == "evolve":
        yield "own answer", row.answer


def _prompt(step: Step, name: str) -> str:
    used = step.payload["prompts"]
    return f"{name}, sha256 {used[name][:SHORT]}, parser {prompts.get(name).parser} version {used['parser']}"


def _model(step: Step) -> str:
    model = step.payload["model"]
    weights = model["weights"]
    known = f"sha256 {weights['sha256'][:SHORT]}" if "sha256" in weights else _named(**weights)
    return f"{model['engine']}, {known}"


def _named(name: str, revision: str | None) -> str:
    return f"{name} at {revision[:SHORT]}" if revision else name


def _sampling(spec: SamplingSpec) -> str:
    return f"temperature {spec.temperature:g}, top_p {spec.top_p:g}, at most {spec.max_tokens} tokens"
