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
    AugmentJob,
    CheckJob,
    ChooseJob,
    DrawJob,
    EliminateJob,
    EvaluateJob,
    EvolveJob,
    Job,
    JudgeJob,
    OptimizeJob,
    PairJob,
    RespondJob,
    RewardJob,
    ScoreJob,
    SeedsJob,
    TrainJob,
    VerdictJob,
    VerifyJob,
)
from pipelines.study.graph.step import Step, rows_of_one
from pipelines.study.spec.benchmarks import PAIRED

TOKENS_OF_TEXT = 60
TOKENS_OF_PROMPT = 300  # of a rewriting or judging prompt, around its text
TOKENS_OF_JUDGEMENT = 300  # a judge explains itself
LINES_OF_LIST = 25
UNKNOWN_ROWS = 1000
Doing = Literal["generate", "score", "train", "other"]


class Setting(BaseModel):
    """What a role's model is (the fingerprint of what enters keys), the GPUs that it has in all, and their kind as Ray
    tells it."""

    model: str
    gpus: float
    gpu: str | None


class Line(BaseModel):
    """What a profile measured of a role: seconds of a step and of each row more, and per row what comes out of it.

    `setting` is that of the role's model when it was measured.
    """

    setting: Setting | None = None
    fixed: float
    per_row: float
    rows_out: float
    tokens_in: float
    tokens_out: float
    bytes_out: float


@dataclass(frozen=True, slots=True)
class Work:
    """What a step is expected to do in all. `model` is "" for a step that asks none."""

    doing: Doing
    model: str
    rows_in: float
    rows_out: float
    tokens_in: float = 0
    tokens_out: float = 0


def role(step: Step) -> str:
    """Steps of one role are alike but for their rows: what kind of work it is, by which model, after which recipe."""
    job = step.job
    model = getattr(job, "model", "")
    if isinstance(job, TrainJob):
        return f"train:{model}:{fingerprint(job.recipe)[:8]}"
    named = isinstance(job, EvaluateJob | VerdictJob)
    return f"{step.kind}:{model}:{job.benchmark.name}" if named else f"{step.kind}:{model}"


def workload(grid: Grid, lines: Mapping[str, Line]) -> dict[str, Work]:
    """The work of every step by key; `lines` are a profile's by role (none: all is assumed)."""
    works: dict[str, Work] = {}
    for key, step in grid.steps.items():
        before = works[step.inputs[0].key].rows_out if step.inputs else 0
        assumed = _assumed(step, before)
        line = lines.get(role(step)) if lines else None
        works[key] = assumed if line is None or not step.inputs else _measured(assumed, line)
    return works


def _measured(assumed: Work, line: Line) -> Work:
    rows = assumed.rows_in
    out = assumed.rows_out if assumed.doing == "train" else rows * line.rows_out
    return Work(assumed.doing, assumed.model, rows, out, rows * line.tokens_in, rows * line.tokens_out)


def _assumed(step: Step, before: float) -> Work:
    job = step.job
    if isinstance(job, VerdictJob):
        return _judged(job, before)
    rows = _rows_out(step, before)
    model, doing = str(getattr(job, "model", "")), _doing(job)
    requests, reply = _asked(job, before)
    if doing == "train":
        assert isinstance(job, TrainJob)
        return Work(doing, model, before, rows, tokens_in=before * job.recipe.epochs * TOKENS_OF_TEXT)
    if doing == "score":
        passes = 3 if isinstance(job, ScoreJob) else 2
        return Work(doing, model, before, rows, tokens_in=requests * passes * TOKENS_OF_TEXT)
    read = TOKENS_OF_TEXT + (0 if isinstance(job, RespondJob | DrawJob | EvaluateJob) else TOKENS_OF_PROMPT)
    return Work(doing, model, before, rows, requests * read, requests * reply)


def _judged(job: VerdictJob, rows: float) -> Work:
    """Each answer is read with its question, beside the other answer of a pair or the turn before; some are twice."""
    kind, judge = job.benchmark.kind, job.benchmark.judge
    assert judge
    by_probability = kind == "alpaca_eval" and judge.verdict == "probability"  # of two labels, which are scored
    requests = rows * (2 if by_probability or judge.swap or kind in ("arena_hard", "mt_bench") else 1)
    texts = 3 if kind in PAIRED or kind == "mt_bench" else 2
    label = kind == "alpaca_eval"
    reply = 0 if by_probability else min(judge.max_tokens, 1 if label else TOKENS_OF_JUDGEMENT)
    read = TOKENS_OF_PROMPT + texts * TOKENS_OF_TEXT
    return Work("score" if by_probability else "generate", job.model, rows, rows, requests * read, requests * reply)


def _doing(job: Job) -> Doing:
    if isinstance(job, TrainJob):
        return "train"
    if isinstance(job, ScoreJob | ChooseJob | RewardJob):
        return "score"
    return "generate" if hasattr(job, "model") else "other"


def _asked(job: Job, rows: float) -> tuple[float, float]:
    """The requests of a step, and the tokens of a reply."""
    short = TOKENS_OF_TEXT
    match job:
        case OptimizeJob():
            return published_calls(job.optimization), min(job.max_tokens, short)
        case AugmentJob():  # replies of AutoIF are long, say half of what is allowed
            return job.runs, job.sampling.max_tokens / 2
        case VerifyJob():
            return rows * job.generations, job.sampling.max_tokens / 2
        case CheckJob():
            return rows * job.judgements, job.sampling.max_tokens / 2
        case EliminateJob():
            return rows, min(job.elimination.max_tokens, short)
        case JudgeJob():
            return rows, job.max_tokens / 2
        case EvolveJob():
            return rows * (2 if job.eliminates else 1), min(job.sampling.max_tokens, short)
        case RespondJob():
            return rows * job.draws, min(job.sampling.max_tokens, short)
        case DrawJob():
            return rows * job.candidates, min(job.sampling.max_tokens, short)
        case EvaluateJob():
            return _tasks(job), min(job.benchmark.answer_tokens, short)
        case _:
            return rows, 0


def _tasks(job: EvaluateJob) -> int:
    world, known = job.benchmark.world, job.benchmark.limit or UNKNOWN_ROWS
    return world.count if world else known


def _rows_out(step: Step, before: float) -> float:
    job = step.job
    if isinstance(job, SeedsJob):
        known = job.seeds.world.count if job.seeds.world else UNKNOWN_ROWS
        return min(known, job.seeds.limit or known)
    if isinstance(job, EvaluateJob):
        return _tasks(job)
    if isinstance(job, AugmentJob):
        return len(job.instructions) + job.runs * LINES_OF_LIST
    return before * (job.queries if isinstance(job, PairJob) else rows_of_one(job))
