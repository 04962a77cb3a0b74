"""How long steps may take: tokens times parameters over an assumed rate. Rough, and said to be so in the plan.

A token costs 2 floating-point operations per parameter to generate or score and 6 to train on. The rates were read
off two CPU cores with small models, where overheads and not arithmetic decide; a GPU's are those of an L4 at a third
of its peak.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from pipelines.evolve.choice import published_calls
from pipelines.study.grid import Grid
from pipelines.study.models import resolve_model_path
from pipelines.study.spec import Model, Study
from pipelines.study.steps import (
    AugmentJob,
    CheckJob,
    ChooseJob,
    ContaminationJob,
    DiversityJob,
    DrawJob,
    EliminateJob,
    EvaluateJob,
    EvolveJob,
    JudgeJob,
    OptimizeJob,
    PairJob,
    RespondJob,
    RewardJob,
    ScoreJob,
    SeedsJob,
    Step,
    TrainJob,
    VerifyJob,
    rows_of_one,
)

CPU_RATE = {"generate": 1.4e10, "score": 8e10, "train": 6e10}
GPU_RATE = {"generate": 4e12, "score": 2e13, "train": 2e13}
TOKENS_OF_TEXT = 60
LINES_OF_LIST = 25
TRAIN_OVERHEAD = 1.0
EVALUATE_OVERHEAD = 1.0
ENCODER_OVERHEAD = 5.0
EMBEDDINGS_PER_SECOND = 50.0
CHECKS_PER_SECOND = 50000.0
BYTES_PER_PARAMETER = 2
UNKNOWN_ROWS = 1000


def estimate(study: Study, folder: Path, grid: Grid) -> Mapping[str, float]:
    """Seconds by step key, each step taken alone."""
    sizes = {name: parameters(model, folder) for name, model in study.models.items()}
    rows: dict[str, int] = {}
    seconds: dict[str, float] = {}
    for key, step in grid.steps.items():
        rows[key] = _rows(step, rows)
        seconds[key] = _seconds(step, rows[key], study, sizes)
    return seconds


def parameters(model: Model, folder: Path) -> int:
    """A local model's parameters by the size of its weights (2 bytes each); 0 if that is unknown."""
    return _parameters(resolve_model_path(model, folder))


@lru_cache(maxsize=256)
def _parameters(path: str) -> int:
    files = Path(path).glob("*.safetensors") if Path(path).is_dir() else []
    return sum(file.stat().st_size for file in files) // BYTES_PER_PARAMETER


def _rows(step: Step, rows: Mapping[str, int]) -> int:
    job = step.job
    if isinstance(job, SeedsJob):
        known = job.seeds.world.count if job.seeds.world else UNKNOWN_ROWS
        return min(known, job.seeds.limit or known)
    if isinstance(job, EvaluateJob):
        return job.benchmark.world.count
    if isinstance(job, AugmentJob):
        return len(job.instructions) + job.runs * LINES_OF_LIST
    before = rows[step.inputs[0].key]
    return before * (job.queries if isinstance(job, PairJob) else rows_of_one(job))


def _seconds(step: Step, rows: int, study: Study, sizes: Mapping[str, int]) -> float:
    job = step.job
    if isinstance(job, OptimizeJob):
        tokens = min(job.max_tokens, TOKENS_OF_TEXT)
        return published_calls(job.optimization) * tokens * _cost("generate", job.model, study, sizes)
    if isinstance(job, AugmentJob | VerifyJob | CheckJob):
        return asked_of(job, rows) * job.sampling.max_tokens / 2 * _cost("generate", job.model, study, sizes)
    if isinstance(job, EliminateJob):
        tokens = min(job.elimination.max_tokens, TOKENS_OF_TEXT)
        return rows * tokens * _cost("generate", job.model, study, sizes)
    if isinstance(job, JudgeJob):
        return rows * job.max_tokens / 2 * _cost("generate", job.model, study, sizes)
    if isinstance(job, EvolveJob | RespondJob):
        tokens = min(job.sampling.max_tokens, TOKENS_OF_TEXT)
        tokens *= 2 if isinstance(job, EvolveJob) and job.eliminates else 1
        return rows * tokens * _cost("generate", job.model, study, sizes)
    if isinstance(job, DrawJob):
        tokens = min(job.sampling.max_tokens, TOKENS_OF_TEXT)
        return rows * job.candidates * tokens * _cost("generate", job.model, study, sizes)
    if isinstance(job, ChooseJob | RewardJob):
        return rows * _judged(step) * 2 * TOKENS_OF_TEXT * _cost("score", job.model, study, sizes)
    if isinstance(job, ScoreJob):
        return rows * 3 * TOKENS_OF_TEXT * _cost("score", job.model, study, sizes)
    if isinstance(job, DiversityJob):
        return ENCODER_OVERHEAD + rows / EMBEDDINGS_PER_SECOND
    if isinstance(job, ContaminationJob):
        return rows / CHECKS_PER_SECOND
    if isinstance(job, TrainJob):
        tokens = rows * job.recipe.epochs * TOKENS_OF_TEXT
        return TRAIN_OVERHEAD + 3 * tokens * _cost("train", job.model, study, sizes)
    if isinstance(job, EvaluateJob):
        tokens = min(job.benchmark.max_tokens, TOKENS_OF_TEXT)
        return EVALUATE_OVERHEAD + rows * tokens * _cost("generate", job.model, study, sizes)
    return 0.1


def _judged(step: Step) -> int:
    """The answers of a row that a reward model judges."""
    drawn = step.inputs[0].job
    return drawn.candidates if isinstance(drawn, DrawJob) else 1


def asked_of(job: AugmentJob | VerifyJob | CheckJob, rows: int) -> int:
    """The requests of a step of AutoIF; their replies are long, say half of what is allowed."""
    if isinstance(job, AugmentJob):
        return job.runs
    return rows * (job.generations if isinstance(job, VerifyJob) else job.judgements)


def _cost(work: str, name: str, study: Study, sizes: Mapping[str, int]) -> float:
    """Seconds per token and forward pass."""
    model = study.models[name]
    rate = GPU_RATE[work] * model.gpus if model.gpus else CPU_RATE[work]
    return 2 * sizes[name] / rate / model.replicas
