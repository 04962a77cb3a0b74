"""Estimates the rows, requests and tokens of each step before a run.

The numbers of rows and requests follow from the study and its seed files. Without a profile, the lengths of texts are
assumed: those of a sample of the seeds, or `TOKENS_PER_TEXT`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from pipelines.operators.evolve.candidate_ranking import published_calls
from pipelines.study.graph.steps.grid import Grid
from pipelines.study.graph.steps.params.answers import CheckParams, RespondParams, SampleCandidatesParams, UnionParams
from pipelines.study.graph.steps.params.instructions import (
    AugmentParams,
    EliminateParams,
    EvolveParams,
    OptimizeParams,
    PairParams,
    SeedsParams,
    VerifyParams,
)
from pipelines.study.graph.steps.params.measures import JudgeParams, ScoreParams
from pipelines.study.graph.steps.params.students import EvaluateParams, SelectParams, TrainParams, VerdictParams
from pipelines.study.graph.steps.step import Step, StepParams, WorkType
from pipelines.study.spec.common.basics import SamplingSpec

TOKENS_PER_TEXT = 60.0
TOKENS_PER_PROMPT = 300  # of a rewriting or judging prompt, without the text in it
TOKENS_PER_JUDGEMENT = 300  # the judge explains its verdict
INSTRUCTIONS_PER_LIST = 25
ASSUMED_ITEMS = 1000  # of a benchmark without a limit
ASSUMED_SEEDS = 1000  # of a data set on the hub that is not in the local cache


@dataclass(frozen=True, slots=True)
class InputSize:
    """The number of a step's input rows, and the mean numbers of tokens of their instructions and of answers to them.

    `instruction_tokens` includes the input of an instruction.
    """

    rows: float
    instruction_tokens: float = TOKENS_PER_TEXT
    answer_tokens: float = TOKENS_PER_TEXT

    @property
    def pair_tokens(self) -> float:
        """The number of tokens of an instruction and its answer."""
        return self.instruction_tokens + self.answer_tokens

    def with_rows(self, rows: float) -> InputSize:
        """Return the same size with another number of rows."""
        return self if rows == self.rows else InputSize(rows, self.instruction_tokens, self.answer_tokens)


class CostSetting(BaseModel):
    """The setting in which costs were measured.

    Attributes:
        model: The fingerprint of the model's identity in step keys.
        gpus: The number of GPUs of all replicas or workers.
        gpu: Ray's accelerator type of these GPUs; None without one.
    """

    model: str
    gpus: float
    gpu: str | None


class LinearCost(BaseModel):
    """A profile's measurements of a workload class: seconds per step and per row, and the output per row.

    `setting` is that of the model during the measurement.
    """

    setting: CostSetting | None = None
    fixed: float
    per_row: float
    rows_out: float
    tokens_in: float
    tokens_out: float
    bytes_out: float


@dataclass(frozen=True, slots=True)
class StepWorkload:
    """The total expected work of a step. `model` is "" for a step that calls none."""

    work_type: WorkType
    model: str
    rows_in: float
    rows_out: float
    tokens_in: float = 0
    tokens_out: float = 0


def workload_class(step: Step) -> str:
    """Return the class of steps that differ only in their rows: kind, model and, if any, the parameters' variant."""
    variant = step.params.variant
    return f"{step.kind}:{step.params.model}" + (f":{variant}" if variant else "")


def estimate_workloads(
    grid: Grid, costs: Mapping[str, LinearCost], seed_sets: Mapping[str, InputSize]
) -> dict[str, StepWorkload]:
    """Return the work of every step by key.

    Args:
        grid: The study's grid.
        costs: The costs of a profile by workload class; if empty, all is assumed.
        seed_sets: The sizes of the seed sets by the keys of their steps.
    """
    workloads: dict[str, StepWorkload] = {}
    inputs: dict[str, InputSize] = {}  # of each step; of seeds: what they have
    for key, step in grid.steps.items():
        source = step.inputs[0].key if step.inputs else ""
        inputs[key] = seed_sets.get(key) or (
            inputs[source].with_rows(_rows_in(step, workloads)) if source else InputSize(0)
        )
        assumed = _assumed_workload(step, inputs[key])
        cost = costs.get(workload_class(step)) if costs else None
        workloads[key] = assumed if cost is None or not step.inputs else _profiled_workload(assumed, cost)
    return workloads


def _rows_in(step: Step, workloads: Mapping[str, StepWorkload]) -> float:
    """Return the number of rows of a step's input, or of all parts that a union has."""
    parts = step.inputs[step.params.parts_from :] if isinstance(step.params, UnionParams) else step.inputs[:1]
    return sum(workloads[part.key].rows_out for part in parts)


def _profiled_workload(assumed: StepWorkload, cost: LinearCost) -> StepWorkload:
    rows = assumed.rows_in
    out = assumed.rows_out if assumed.work_type == "train" else rows * cost.rows_out
    return StepWorkload(assumed.work_type, assumed.model, rows, out, rows * cost.tokens_in, rows * cost.tokens_out)


def _assumed_workload(step: Step, size: InputSize) -> StepWorkload:
    estimate = WORKLOADS.get(type(step.params)) or DEFAULT_WORKLOADS[step.params.work_type]
    return estimate(step.params, size)


def _generating(
    params: StepParams,
    size: InputSize,
    *,
    requests: float,
    reply: float,
    rows_out: float | None = None,
    read: float | None = None,
) -> StepWorkload:
    """Return the work of a generating step. `read` and `reply` are tokens per request, of the prompt and of the reply.

    `read` defaults to a prompt with the instruction in it, `rows_out` to the number of input rows.
    """
    made = size.rows if rows_out is None else rows_out
    read_tokens = size.instruction_tokens + TOKENS_PER_PROMPT if read is None else read
    return StepWorkload(params.work_type, params.model, size.rows, made, requests * read_tokens, requests * reply)


def _scoring(params: StepParams, size: InputSize, passes: int = 2) -> StepWorkload:
    """Return the work of a scoring step that reads `passes` texts per row, by default an instruction and its answer."""
    tokens = size.rows * passes * size.pair_tokens / 2
    return StepWorkload("score", params.model, size.rows, size.rows, tokens_in=tokens)


def _other(params: StepParams, size: InputSize) -> StepWorkload:
    return _generating(params, size, requests=size.rows, reply=0)


def _seeds(params: SeedsParams, size: InputSize) -> StepWorkload:
    return StepWorkload(params.work_type, params.model, 0, size.rows)


def _optimize(params: OptimizeParams, size: InputSize) -> StepWorkload:
    reply = min(params.max_tokens, TOKENS_PER_TEXT)
    return _generating(params, size, requests=published_calls(params.optimization), reply=reply)


def _augment(params: AugmentParams, size: InputSize) -> StepWorkload:
    made = len(params.instructions) + params.runs * INSTRUCTIONS_PER_LIST
    return _generating(params, size, requests=params.runs, reply=_long(params.sampling), rows_out=made)


def _verify(params: VerifyParams, size: InputSize) -> StepWorkload:
    return _generating(params, size, requests=size.rows * params.generations, reply=_long(params.sampling))


def _pair(params: PairParams, size: InputSize) -> StepWorkload:
    return _generating(params, size, requests=size.rows, reply=0, rows_out=size.rows * params.queries)


def _check(params: CheckParams, size: InputSize) -> StepWorkload:
    return _generating(params, size, requests=size.rows * params.judgements, reply=_long(params.sampling))


def _evolve(params: EvolveParams, size: InputSize) -> StepWorkload:
    requests = size.rows * (2 if params.eliminates else 1)
    reply = min(params.sampling.max_tokens, size.instruction_tokens)
    return _generating(params, size, requests=requests, reply=reply)


def _eliminate(params: EliminateParams, size: InputSize) -> StepWorkload:
    reply = min(params.elimination.max_tokens, TOKENS_PER_TEXT)
    return _generating(params, size, requests=size.rows, reply=reply)


def _respond(params: RespondParams, size: InputSize) -> StepWorkload:
    answers, reply = size.rows * params.draws, _answer(params.sampling, size)
    return _generating(params, size, requests=answers, reply=reply, rows_out=answers, read=size.instruction_tokens)


def _sample_candidates(params: SampleCandidatesParams, size: InputSize) -> StepWorkload:
    answers, reply = size.rows * params.candidates, _answer(params.sampling, size)
    return _generating(params, size, requests=answers, reply=reply, read=size.instruction_tokens)


def _score(params: ScoreParams, size: InputSize) -> StepWorkload:
    return _scoring(params, size, passes=3)


def _judge(params: JudgeParams, size: InputSize) -> StepWorkload:
    return _generating(params, size, requests=size.rows * params.share, reply=params.max_tokens / 2)


def _select(params: SelectParams, size: InputSize) -> StepWorkload:
    selection = params.selection
    chosen = min(size.rows, selection.size or size.rows * selection.keep)
    return StepWorkload(params.work_type, params.model, size.rows, chosen * params.share)


def _train(params: TrainParams, size: InputSize) -> StepWorkload:
    tokens = size.rows * params.recipe.epochs * size.pair_tokens
    return StepWorkload("train", params.model, size.rows, size.rows, tokens_in=tokens)


def _evaluate(params: EvaluateParams, size: InputSize) -> StepWorkload:
    world, known = params.benchmark.world, params.benchmark.limit or ASSUMED_ITEMS
    tasks, reply = world.count if world else known, min(params.benchmark.answer_tokens, TOKENS_PER_TEXT)
    return _generating(params, size, requests=tasks, reply=reply, rows_out=tasks, read=TOKENS_PER_TEXT)


def _verdict(params: VerdictParams, size: InputSize) -> StepWorkload:
    """Return the work of a judge, which reads each answer with its question, in a pair or after the turn before.

    Some answers are read twice.
    """
    judging, judge = params.benchmark.traits.judging, params.benchmark.judge
    assert judging and judge
    requests = size.rows * (2 if judge.swap else judging.requests)
    reply = min(judge.max_tokens, 1 if judging.labels else TOKENS_PER_JUDGEMENT)
    read = TOKENS_PER_PROMPT + judging.texts * TOKENS_PER_TEXT
    return StepWorkload(
        "generate",
        params.model,
        size.rows,
        size.rows,
        requests * read,
        requests * reply,
    )


def _answer(sampling: SamplingSpec, size: InputSize) -> float:
    return min(sampling.max_tokens, size.answer_tokens)


def _long(sampling: SamplingSpec) -> float:
    """Return the assumed tokens of AutoIF's replies, which are long: half of the limit."""
    return sampling.max_tokens / 2


Estimate = Callable[[Any, InputSize], StepWorkload]
"""Estimates the work of a step from its parameters and the size of its input; for seeds, that of the seed set."""

WORKLOADS: dict[type[StepParams], Estimate] = {
    SeedsParams: _seeds,
    OptimizeParams: _optimize,
    AugmentParams: _augment,
    VerifyParams: _verify,
    PairParams: _pair,
    EvolveParams: _evolve,
    EliminateParams: _eliminate,
    RespondParams: _respond,
    SampleCandidatesParams: _sample_candidates,
    CheckParams: _check,
    ScoreParams: _score,
    JudgeParams: _judge,
    SelectParams: _select,
    TrainParams: _train,
    EvaluateParams: _evaluate,
    VerdictParams: _verdict,
}
# the length of generated text has no default: every generating step needs an entry above
DEFAULT_WORKLOADS: Mapping[WorkType, Estimate] = {"score": _scoring, "other": _other}
