"""What the steps of a study ask of its models: rows, requests and tokens, before anything has run.

Without a profile the sizes of texts are assumed; the counts of rows and requests follow from the study.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel

from pipelines.operators.evolve.candidate_ranking import published_calls
from pipelines.study.graph.fingerprint import fingerprint
from pipelines.study.graph.grid import Grid
from pipelines.study.graph.params import (
    AnyStepParams,
    AugmentParams,
    BestOfNParams,
    CheckParams,
    EliminateParams,
    EvaluateParams,
    EvolveParams,
    JudgeParams,
    OptimizeParams,
    PairParams,
    RespondParams,
    RewardParams,
    SampleCandidatesParams,
    ScoreParams,
    SeedsParams,
    TrainParams,
    VerdictParams,
    VerifyParams,
)
from pipelines.study.graph.step import Step, rows_per_input

TOKENS_PER_TEXT = 60
TOKENS_PER_PROMPT = 300  # of a rewriting or judging prompt, around its text
TOKENS_PER_JUDGEMENT = 300  # a judge explains itself
INSTRUCTIONS_PER_LIST = 25
ASSUMED_ROWS = 1000
WorkType = Literal["generate", "score", "train", "other"]


class CostSetting(BaseModel):
    """What a role's model is (the fingerprint of what enters keys), the GPUs that it has in all, and their kind as Ray
    tells it."""

    model: str
    gpus: float
    gpu: str | None


class LinearCost(BaseModel):
    """What a profile measured of a role: seconds of a step and of each row more, and per row what comes out of it.

    `setting` is that of the role's model when it was measured.
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
    """What a step is expected to do in all. `model` is "" for a step that asks none."""

    work_type: WorkType
    model: str
    rows_in: float
    rows_out: float
    tokens_in: float = 0
    tokens_out: float = 0


def workload_class(step: Step) -> str:
    """Steps of one role are alike but for their rows: what kind of work it is, by which model, after which recipe."""
    job = step.params
    model = getattr(job, "model", "")
    if isinstance(job, TrainParams):
        return f"train:{model}:{fingerprint(job.recipe)[:8]}"
    named = isinstance(job, EvaluateParams | VerdictParams)
    return f"{step.kind}:{model}:{job.benchmark.name}" if named else f"{step.kind}:{model}"


def estimate_workloads(grid: Grid, costs: Mapping[str, LinearCost]) -> dict[str, StepWorkload]:
    """The work of every step by key; `costs` are a profile's by role (none: all is assumed)."""
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


def _assumed_workload(step: Step, before: float) -> StepWorkload:
    job = step.params
    if isinstance(job, VerdictParams):
        return _judge_workload(job, before)
    rows = _rows_out(step, before)
    model, work_type = str(getattr(job, "model", "")), _work_type(job)
    requests, reply = _request_counts(job, before)
    if work_type == "train":
        assert isinstance(job, TrainParams)
        return StepWorkload(work_type, model, before, rows, tokens_in=before * job.recipe.epochs * TOKENS_PER_TEXT)
    if work_type == "score":
        passes = 3 if isinstance(job, ScoreParams) else 2
        return StepWorkload(work_type, model, before, rows, tokens_in=requests * passes * TOKENS_PER_TEXT)
    read = TOKENS_PER_TEXT + (
        0 if isinstance(job, RespondParams | SampleCandidatesParams | EvaluateParams) else TOKENS_PER_PROMPT
    )
    return StepWorkload(work_type, model, before, rows, requests * read, requests * reply)


def _judge_workload(job: VerdictParams, rows: float) -> StepWorkload:
    """Each answer is read with its question, beside the other answer of a pair or the turn before; some are twice."""
    judging, judge = job.benchmark.traits.judging, job.benchmark.judge
    assert judging and judge
    by_probability = judging.labels and judge.verdict == "probability"  # of two labels, which are scored
    requests = rows * (2 if by_probability or judge.swap else judging.requests)
    reply = 0 if by_probability else min(judge.max_tokens, 1 if judging.labels else TOKENS_PER_JUDGEMENT)
    read = TOKENS_PER_PROMPT + judging.texts * TOKENS_PER_TEXT
    return StepWorkload(
        "score" if by_probability else "generate", job.model, rows, rows, requests * read, requests * reply
    )


def _work_type(job: AnyStepParams) -> WorkType:
    if isinstance(job, TrainParams):
        return "train"
    if isinstance(job, ScoreParams | BestOfNParams | RewardParams):
        return "score"
    return "generate" if hasattr(job, "model") else "other"


def _request_counts(job: AnyStepParams, rows: float) -> tuple[float, float]:
    """The requests of a step, and the tokens of a reply."""
    short = TOKENS_PER_TEXT
    match job:
        case OptimizeParams():
            return published_calls(job.optimization), min(job.max_tokens, short)
        case AugmentParams():  # replies of AutoIF are long, say half of what is allowed
            return job.runs, job.sampling.max_tokens / 2
        case VerifyParams():
            return rows * job.generations, job.sampling.max_tokens / 2
        case CheckParams():
            return rows * job.judgements, job.sampling.max_tokens / 2
        case EliminateParams():
            return rows, min(job.elimination.max_tokens, short)
        case JudgeParams():
            return rows, job.max_tokens / 2
        case EvolveParams():
            return rows * (2 if job.eliminates else 1), min(job.sampling.max_tokens, short)
        case RespondParams():
            return rows * job.draws, min(job.sampling.max_tokens, short)
        case SampleCandidatesParams():
            return rows * job.candidates, min(job.sampling.max_tokens, short)
        case EvaluateParams():
            return _task_count(job), min(job.benchmark.answer_tokens, short)
        case _:
            return rows, 0


def _task_count(job: EvaluateParams) -> int:
    world, known = job.benchmark.world, job.benchmark.limit or ASSUMED_ROWS
    return world.count if world else known


def _rows_out(step: Step, before: float) -> float:
    job = step.params
    if isinstance(job, SeedsParams):
        known = job.seeds.world.count if job.seeds.world else ASSUMED_ROWS
        return min(known, job.seeds.limit or known)
    if isinstance(job, EvaluateParams):
        return _task_count(job)
    if isinstance(job, AugmentParams):
        return len(job.instructions) + job.runs * INSTRUCTIONS_PER_LIST
    return before * (job.queries if isinstance(job, PairParams) else rows_per_input(job))
