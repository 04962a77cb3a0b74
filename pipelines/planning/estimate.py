"""How long steps may take: by a profile of this study's own steps, or else tokens times parameters over assumed rates.

A token costs 2 floating-point operations per active parameter to generate or score and 6 to train on. The rates of
CPUs were read off two cores with small models, where overheads and not arithmetic decide. Those of GPUs are an H100's,
less on others by their memory's speed (generating) or their arithmetic (scoring, training): 6,443 tokens/s generated
by Qwen3-8B on vLLM 0.15 as datatrove's authors publish them, and 35 to 40 % of the peak.
"""

from __future__ import annotations

from collections.abc import Mapping

from cluster.resources.accelerators import relative_bandwidth, relative_compute
from cluster.resources.placement import Request
from pipelines.planning.machine_types import Kinds
from pipelines.planning.model_size import size
from pipelines.planning.workload import Line, Work, role
from pipelines.study.graph.grid import Grid
from pipelines.study.graph.params import ContaminationJob, DiversityJob
from pipelines.study.graph.step import Step

CPU_RATE = {"generate": 1.4e10, "score": 8e10, "train": 6e10}
GPU_RATE = {"generate": 1.06e14, "score": 4e14, "train": 3.5e14}
ASSUMED_GPU = "L4"
OVERHEAD = {"train": 1.0, "evaluate": 1.0}
ENCODER_OVERHEAD = 5.0
EMBEDDINGS_PER_SECOND = 50.0
CHECKS_PER_SECOND = 50000.0


def estimate(grid: Grid, works: Mapping[str, Work], lines: Mapping[str, Line], kinds: Kinds) -> dict[str, float | None]:
    """Seconds by step key, each step taken alone on the kind of machine that it will lie on.

    None for a step of a model of unknown size. `lines` are a profile's by role.
    """
    sizes = {name: size(model, kinds.folder) for name, model in kinds.study.models.items()}
    seconds: dict[str, float | None] = {}
    for key, step in grid.steps.items():
        line = lines.get(role(step)) if lines else None
        if line is not None:
            seconds[key] = line.fixed + line.per_row * works[key].rows_in
        else:
            seconds[key] = _seconds(step, works[key], sizes, kinds)
    return seconds


def _seconds(step: Step, work: Work, sizes: Mapping[str, int | None], kinds: Kinds) -> float | None:
    if isinstance(step.job, DiversityJob):
        return ENCODER_OVERHEAD + work.rows_in / EMBEDDINGS_PER_SECOND
    if isinstance(step.job, ContaminationJob):
        return work.rows_in / CHECKS_PER_SECOND
    if work.doing == "other":
        return 0.1
    count = sizes[work.model]
    if count is None:
        return None
    tokens = work.tokens_out if work.doing == "generate" else work.tokens_in
    passes = 3 if work.doing == "train" else 1
    cost = 2 * count / rate(work.doing, kinds.asked(step), kinds.gpu(step))
    return OVERHEAD.get(step.kind, 0.0) + passes * tokens * cost


def rate(doing: str, asked: Request, gpu: str | None) -> float:
    """Assumed floating-point operations per second of all that works on a step, on this kind of GPU."""
    if not asked.gpus:
        return CPU_RATE[doing] * asked.replicas
    relative = relative_bandwidth if doing == "generate" else relative_compute
    return GPU_RATE[doing] * relative(gpu or ASSUMED_GPU) * asked.gpus * asked.replicas
