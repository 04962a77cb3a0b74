"""The chain of a row in the terminal: what was asked of whom, what came back, and what was made of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, fields

from rich.console import Console
from rich.table import Table
from rich.text import Text

import prompts
from pipelines.cli.views.answer import answer_facts
from pipelines.cli.views.autoif import autoif_facts
from pipelines.operators.evolve.failure_detector import CLASSES
from pipelines.results.lineage import ROW_FILES, Lineage, Link
from pipelines.rows.types import (
    AnswerRow,
    CandidatesRow,
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
    RewardRow,
    Row,
    ScoreRow,
    VerifiedRow,
)
from pipelines.study.graph.methods import prompt_name
from pipelines.study.graph.params import (
    AugmentParams,
    BestOfNParams,
    CheckParams,
    EliminateParams,
    EvolveParams,
    JudgeParams,
    OptimizeParams,
    RespondParams,
    RewardParams,
    SampleCandidatesParams,
    ScoreParams,
    SelectParams,
    VerifyParams,
)
from pipelines.study.graph.prompt_names import AUTOIF_AUGMENT, AUTOIF_MATERIAL, AUTOIF_SCORE, CONSTRAINED_ANSWER_PROMPT
from pipelines.study.graph.step import Kind, Step
from pipelines.study.spec.basics import SamplingSpec

Facts = Iterator[tuple[str, object]]
SHORT_ID_CHARS = 12
SAMPLES_PER_STEP = 2
NAME_WIDTH = 13
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_ROLES = {
    OptimizeParams: "evolver",
    EvolveParams: "evolver",
    EliminateParams: "judge",
    RespondParams: "teacher",
    ScoreParams: "scorer",
    SampleCandidatesParams: "teacher",
    BestOfNParams: "judge",
    RewardParams: "judge",
    JudgeParams: "judge",
    AugmentParams: "evolver",
    VerifyParams: "evolver",
    CheckParams: "judge",
}
_AUTOIF_PROMPTS: dict[Kind, str] = {"augment": AUTOIF_AUGMENT, "verify": AUTOIF_MATERIAL, "check": AUTOIF_SCORE}


def show_chain(console: Console, links: list[Link], study_seed: int) -> None:
    """Print the links from the seed down."""
    for link in links:
        _print_field(console, f"{link.step.label}, row {link.row.index}", link.row.id, style="bold")
        for name, value in _facts(link, study_seed):
            _print_field(console, f"  {name}", str(value))
        console.print()


def show_samples(console: Console, lineage: Lineage) -> None:
    """Print a few ids of every finished step, of rows and of what was not passed on."""
    table = Table("step", "rows", "not passed on")
    for step in lineage.steps:
        shown = [lineage.ids_of(step, file)[:SAMPLES_PER_STEP] for file in ROW_FILES]
        table.add_row(step.label, *("  ".join(row[:SHORT_ID_CHARS] for row in ids) for ids in shown))
    console.print(table if lineage.steps else "No step of this study is finished yet: run it first.")


def _print_field(console: Console, name: str, value: str, style: str = "") -> None:
    """A name and its value; further lines of the value stand below its first one."""
    printable = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", value.replace("\r\n", "\n"))
    indented = printable.replace("\n", "\n" + " " * (NAME_WIDTH + 2))
    console.print(Text(f"{name:<{NAME_WIDTH}}  {indented}", style=style), soft_wrap=True)


def _facts(link: Link, study_seed: int) -> Facts:
    step, row = link.step, link.row
    yield from _request_facts(link, study_seed)
    if isinstance(row, Rejection):
        yield row.status, f"{row.reason}: {row.detail}" if row.detail else row.reason
        if row.raw:
            yield "reply", row.raw
    elif isinstance(row, FormatRow | VerifiedRow | PairedRow):
        yield from autoif_facts(row)
    elif isinstance(row, MethodRow):
        yield from _optimization_facts(step, row)
    elif isinstance(row, InstructionRow):
        yield from _instruction_facts(step, row)
    elif isinstance(row, ResponseRow):
        yield "outcome", "accepted" if row.finish_reason == "stop" else "accepted, cut off at the token limit"
        yield from choice_facts(row)
        yield "answer", row.response
        yield from autoif_facts(row)
    elif isinstance(row, AnswerRow):
        yield from answer_facts(row, judged=step.kind == "verdict")
    elif isinstance(row, DiversityRow):
        yield "nearest", f"{row.nearest}, at a squared distance of {row.distance:.6g}; {row.repeats} are near repeats"
    elif isinstance(row, ContaminationRow):
        found = zip(row.sources, row.measures, row.tasks, row.values, row.shared, strict=True)
        for source, measure, task, value, shared in found:
            yield "overlaps", f"{source}, task {task}, {measure} {value:g}: {shared}"
        if not row.sources:
            yield "overlaps", "with nothing"
    elif isinstance(row, CandidatesRow):
        yield from ((f"candidate {number}", text) for number, text in enumerate(row.candidates))
    elif isinstance(row, JudgementRow):
        yield row.metric, ", ".join([*row.labels, *(f"{score:g}" for score in row.scores)])
    elif isinstance(row, ScoreRow | RewardRow):
        own = {field.name for field in fields(Row)}
        yield from ((name, _format_numbers(value)) for name, value in asdict(row).items() if name not in own)
    elif isinstance(row, PairRow) and isinstance(step.params, SelectParams):
        yield "chosen by", f"{step.params.selection.by}: {row.score:.6g}"


def choice_facts(row: ResponseRow) -> Facts:
    """The rewards by which an answer was chosen among candidates, and whether it seems to decline."""
    if isinstance(row, ChosenRow):
        rewards = zip(row.judged, row.rewards, strict=True)
        yield "rewards", ", ".join(f"candidate {number}: {reward:.6g}" for number, reward in rewards)
        yield "chosen", f"candidate {row.chosen}"
    if row.refused:
        yield "refused", "it opens by declining"


def _format_numbers(value: float | list[float]) -> str:
    return " ".join(f"{number:.6g}" for number in (value if isinstance(value, list) else [value]))


def _request_facts(link: Link, study_seed: int) -> Facts:
    """Which model was asked what, and how it was to draw."""
    step, row, job = link.step, link.row, link.step.params
    if isinstance(
        job,
        EvolveParams
        | EliminateParams
        | RespondParams
        | SampleCandidatesParams
        | BestOfNParams
        | ScoreParams
        | RewardParams
        | JudgeParams
        | OptimizeParams
        | AugmentParams
        | VerifyParams
        | CheckParams,
    ):
        yield _ROLES[type(job)], f"{job.model} ({_describe_model(step)})"
    if isinstance(job, EvolveParams):
        yield "round", job.round
        yield from _method_facts(step, job, link.method, job.method(row.index, row.seed_id, study_seed))
    if isinstance(job, EliminateParams):
        yield "prompt", _describe_prompt(step, "equality")
    if isinstance(job, RespondParams | SampleCandidatesParams) and isinstance(row, ResponseRow | CandidatesRow):
        constrained = CONSTRAINED_ANSWER_PROMPT in step.payload["prompts"]
        yield (
            "prompt",
            _describe_prompt(
                step, CONSTRAINED_ANSWER_PROMPT if constrained else "answer_with_input" if row.input else "answer"
            ),
        )
    if name := _AUTOIF_PROMPTS.get(step.kind):
        yield "prompt", _describe_prompt(step, name)
    if isinstance(
        job, EvolveParams | RespondParams | SampleCandidatesParams | AugmentParams | VerifyParams | CheckParams
    ):
        yield "sampling", _describe_sampling(job.sampling)


def _method_facts(step: Step, job: EvolveParams, optimized: MethodRow | None, method: str) -> Facts:
    if optimized is not None:
        yield "method", f"optimized, row {optimized.id[:SHORT_ID_CHARS]} of {step.inputs[1].label}"
        yield "prompt", optimized.method
        yield "parser", f"{job.parser} version {step.payload['prompts']['parser']}"
        return
    several = f" ({job.assignment} over {', '.join(job.methods)})" if len(job.methods) > 1 else ""
    yield "method", method + several
    yield "prompt", _describe_prompt(step, prompt_name(method))


def _optimization_facts(step: Step, row: MethodRow) -> Facts:
    assert isinstance(step.params, OptimizeParams)
    spec = step.params.optimization
    yield "optimizer", f"{spec.optimizer}, {_describe_sampling(spec.sampling)}"
    yield "step", f"{row.step}, " + (f"candidate {row.candidate}" if row.candidate else "the method it began with")
    if row.candidate:
        yield "feedback", row.feedback
        yield "reply", row.raw
        yield "outcome", row.outcome
    yield "method", row.method
    failed = ", ".join(f"{name.replace('_', ' ')} {count}" for name in CLASSES if (count := getattr(row, name)))
    yield "failures", f"{100 * row.failure_rate:.1f} % of {row.measured}" + (f": {failed}" if failed else "")
    yield "chosen", ("best of all" if row.best else "for the next step") if row.chosen else "no"


def _instruction_facts(step: Step, row: InstructionRow) -> Facts:
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


def _describe_prompt(step: Step, name: str) -> str:
    used = step.payload["prompts"]
    return f"{name}, sha256 {used[name][:SHORT_ID_CHARS]}, parser {prompts.get(name).parser} version {used['parser']}"


def _describe_model(step: Step) -> str:
    model = step.payload["model"]
    weights = model["weights"]
    known = f"sha256 {weights['sha256'][:SHORT_ID_CHARS]}" if "sha256" in weights else _name_at_revision(**weights)
    return f"{model['engine']}, {known}"


def _name_at_revision(name: str, revision: str | None) -> str:
    return f"{name} at {revision[:SHORT_ID_CHARS]}" if revision else name


def _describe_sampling(spec: SamplingSpec) -> str:
    return f"temperature {spec.temperature:g}, top_p {spec.top_p:g}, at most {spec.max_tokens} tokens"
