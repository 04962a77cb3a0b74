"""Estimates the rows, requests and tokens of each step before a run.

Without a profile, the lengths of texts are assumed. The numbers of rows and requests follow from the study.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from pipelines.operators.evolve.candidate_ranking import published_calls
from pipelines.study.graph.grid import Grid
from pipelines.study.graph.params import (
    AugmentParams,
    CheckParams,
    EliminateParams,
    EvaluateParams,
    EvolveParams,
    JudgeParams,
    OptimizeParams,
    PairParams,
    RespondParams,
    SampleCandidatesParams,
    ScoreParams,
    SeedsParams,
    TrainParams,
    VerdictParams,
    VerifyParams,
)
from pipelines.study.graph.step import Step, StepParams, WorkType
from pipelines.study.spec.basics import SamplingSpec

TOKENS_PER_TEXT = 60
TOKENS_PER_PROMPT = 300  # of a rewriting or judging prompt, without the text in it
TOKENS_PER_JUDGEMENT = 300  # the judge explains its verdict
INSTRUCTIONS_PER_LIST = 25
ASSUMED_ROWS = 1000


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


def estimate_workloads(grid: Grid, costs: Mapping[str, LinearCost]) -> dict[str, StepWorkload]:
    """Return the work of every step by key. `costs` are a profile's, by workload class; if empty, all is assumed."""
    workloads: dict[str, StepWorkload] = {}
    for key, step in grid.steps.items():
        before = workloads[step.inputs[0].key].rows_out if step.inputs else 0
        assumed = _assumed_workload(step, before)
        cost = costs.get(workload_class(step)) if costs else None
        workloads[key] = assumed if cost is None or not step.inputs else _profiled_workload(assumed, cost)
    return workloads


def _profiled_workload(assumed: StepWorkload, cost: LinearCost) -> StepWorkload:
    rows = assumed.rows_in
    out = assumed.rows_out if assumed.work_type == "train" else rows * cost.rows_out
    return StepWorkload(assumed.work_type, assumed.model, rows, out, rows * cost.tokens_in, rows * cost.tokens_out)


def _assumed_workload(step: Step, rows: float) -> StepWorkload:
    estimate = WORKLOADS.get(type(step.params)) or DEFAULT_WORKLOADS[step.params.work_type]
    return estimate(step.params, rows)


def _generating(
    params: StepParams,
    rows: float,
    *,
    requests: float,
    reply: float,
    rows_out: float | None = None,
    read: float = TOKENS_PER_TEXT + TOKENS_PER_PROMPT,
) -> StepWorkload:
    """Return the work of a generating step. `read` and `reply` are tokens per request, of the prompt and of the reply.

    `rows_out` defaults to `rows`.
    """
    made = rows if rows_out is None else rows_out
    return StepWorkload(params.work_type, params.model, rows, made, requests * read, requests * reply)


def _scoring(params: StepParams, rows: float, passes: int = 2) -> StepWorkload:
    """Return the work of a scoring step that reads `passes` texts per row, by default an instruction and its answer."""
    return StepWorkload("score", params.model, rows, rows, tokens_in=rows * passes * TOKENS_PER_TEXT)


def _other(params: StepParams, rows: float) -> StepWorkload:
    return _generating(params, rows, requests=rows, reply=0)


def _seeds(params: SeedsParams, rows: float) -> StepWorkload:
    known = params.seeds.world.count if params.seeds.world else ASSUMED_ROWS
    made = min(known, params.seeds.limit or known)
    return _generating(params, rows, requests=rows, reply=0, rows_out=made)


def _optimize(params: OptimizeParams, rows: float) -> StepWorkload:
    reply = min(params.max_tokens, TOKENS_PER_TEXT)
    return _generating(params, rows, requests=published_calls(params.optimization), reply=reply)


def _augment(params: AugmentParams, rows: float) -> StepWorkload:
    made = len(params.instructions) + params.runs * INSTRUCTIONS_PER_LIST
    return _generating(params, rows, requests=params.runs, reply=_long(params.sampling), rows_out=made)


def _verify(params: VerifyParams, rows: float) -> StepWorkload:
    return _generating(params, rows, requests=rows * params.generations, reply=_long(params.sampling))


def _pair(params: PairParams, rows: float) -> StepWorkload:
    return _generating(params, rows, requests=rows, reply=0, rows_out=rows * params.queries)


def _check(params: CheckParams, rows: float) -> StepWorkload:
    return _generating(params, rows, requests=rows * params.judgements, reply=_long(params.sampling))


def _evolve(params: EvolveParams, rows: float) -> StepWorkload:
    return _generating(params, rows, requests=rows * (2 if params.eliminates else 1), reply=_short(params.sampling))


def _eliminate(params: EliminateParams, rows: float) -> StepWorkload:
    reply = min(params.elimination.max_tokens, TOKENS_PER_TEXT)
    return _generating(params, rows, requests=rows, reply=reply)


def _respond(params: RespondParams, rows: float) -> StepWorkload:
    answers, reply = rows * params.draws, _short(params.sampling)
    return _generating(params, rows, requests=answers, reply=reply, rows_out=answers, read=TOKENS_PER_TEXT)


def _sample_candidates(params: SampleCandidatesParams, rows: float) -> StepWorkload:
    answers, reply = rows * params.candidates, _short(params.sampling)
    return _generating(params, rows, requests=answers, reply=reply, read=TOKENS_PER_TEXT)


def _score(params: ScoreParams, rows: float) -> StepWorkload:
    return _scoring(params, rows, passes=3)


def _judge(params: JudgeParams, rows: float) -> StepWorkload:
    return _generating(params, rows, requests=rows, reply=params.max_tokens / 2)


def _train(params: TrainParams, rows: float) -> StepWorkload:
    return StepWorkload("train", params.model, rows, rows, tokens_in=rows * params.recipe.epochs * TOKENS_PER_TEXT)


def _evaluate(params: EvaluateParams, rows: float) -> StepWorkload:
    world, known = params.benchmark.world, params.benchmark.limit or ASSUMED_ROWS
    tasks, reply = world.count if world else known, min(params.benchmark.answer_tokens, TOKENS_PER_TEXT)
    return _generating(params, rows, requests=tasks, reply=reply, rows_out=tasks, read=TOKENS_PER_TEXT)


def _verdict(params: VerdictParams, rows: float) -> StepWorkload:
    """Return the work of a judge, which reads each answer with its question, in a pair or after the turn before.

    Some answers are read twice.
    """
    judging, judge = params.benchmark.traits.judging, params.benchmark.judge
    assert judging and judge
    by_probability = judging.labels and judge.verdict == "probability"  # the judge scores two labels
    requests = rows * (2 if by_probability or judge.swap else judging.requests)
    reply = 0 if by_probability else min(judge.max_tokens, 1 if judging.labels else TOKENS_PER_JUDGEMENT)
    read = TOKENS_PER_PROMPT + judging.texts * TOKENS_PER_TEXT
    return StepWorkload(
        "score" if by_probability else "generate", params.model, rows, rows, requests * read, requests * reply
    )


def _short(sampling: SamplingSpec) -> float:
    return min(sampling.max_tokens, TOKENS_PER_TEXT)


def _long(sampling: SamplingSpec) -> float:
    """Return the assumed tokens of AutoIF's replies, which are long: half of the limit."""
    return sampling.max_tokens / 2


Estimate = Callable[[Any, float], StepWorkload]
"""Estimates the work of a step from its parameters and the number of its input rows."""

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
    TrainParams: _train,
    EvaluateParams: _evaluate,
    VerdictParams: _verdict,
}
# the length of generated text has no default: every generating step needs an entry above
DEFAULT_WORKLOADS: Mapping[WorkType, Estimate] = {"score": _scoring, "other": _other}
