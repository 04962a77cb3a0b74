"""Estimates how long steps take: from a profile of the study, or else from tokens, parameters and assumed rates.

A token costs 2 floating-point operations per active parameter to generate or score, and 6 to train on. The rates of
CPUs were measured on two cores with small models, two of which were trained at a time. Those of GPUs are for an H100
and are scaled for other GPUs by memory bandwidth (generating) or TFLOP/s (scoring, training). They are 6,443 generated
tokens/s for Qwen3-8B on vLLM 0.15, as published by datatrove's authors, and 35 to 40 % of the peak TFLOP/s.
"""

from __future__ import annotations

from collections.abc import Mapping

from cluster.resources.accelerators import relative_bandwidth, relative_compute
from cluster.resources.placement import ResourceRequest
from pipelines.planning.machine_types import MachineTypes
from pipelines.planning.model_size import known_active_parameters
from pipelines.planning.workload import LinearCost, StepWorkload, workload_class
from pipelines.study.graph.steps.grid import Grid
from pipelines.study.graph.steps.params.answers import GivenParams
from pipelines.study.graph.steps.params.instructions import SeedsParams
from pipelines.study.graph.steps.params.measures import ContaminationParams, DiversityParams
from pipelines.study.graph.steps.step import Step

CPU_FLOPS = {"generate": 2.5e10, "score": 8e10, "train": 3e10}
GPU_FLOPS = {"generate": 1.06e14, "score": 4e14, "train": 3.5e14}
ASSUMED_GPU = "L4"
STEP_OVERHEAD_SECONDS = {"train": 1.0}
MODEL_STEP_OVERHEAD_SECONDS = 0.4  # of all other steps that a model runs
RUN_START_SECONDS = 30.0  # of Ray and of the first models
ENCODER_START_SECONDS = 5.0
EMBEDDINGS_PER_SECOND = 50.0
CHECKS_PER_SECOND = 50000.0
SEEDS_PER_SECOND = 50000.0  # read and stored


def estimate_seconds(
    grid: Grid, workloads: Mapping[str, StepWorkload], costs: Mapping[str, LinearCost], machine_types: MachineTypes
) -> dict[str, float | None]:
    """Return seconds by step key, for each step alone on its machine type.

    The value is None for a model of unknown size. `costs` are those of a profile, by workload class.
    """
    sizes = {
        name: known_active_parameters(model, machine_types.folder) for name, model in machine_types.study.models.items()
    }
    seconds: dict[str, float | None] = {}
    for key, step in grid.steps.items():
        cost = costs.get(workload_class(step)) if costs else None
        if cost is not None:
            seconds[key] = cost.fixed + cost.per_row * workloads[key].rows_in
        else:
            seconds[key] = _seconds(step, workloads[key], sizes, machine_types)
    return seconds


def _seconds(
    step: Step, workload: StepWorkload, sizes: Mapping[str, int | None], machine_types: MachineTypes
) -> float | None:
    if isinstance(step.params, DiversityParams):
        return ENCODER_START_SECONDS + workload.rows_in / EMBEDDINGS_PER_SECOND
    if isinstance(step.params, ContaminationParams):
        return workload.rows_in / CHECKS_PER_SECOND
    if isinstance(step.params, SeedsParams | GivenParams):
        return 0.1 + workload.rows_out / SEEDS_PER_SECOND
    if workload.work_type == "other":
        return 0.1
    count = sizes[workload.model]
    if count is None:
        return None
    tokens = workload.tokens_out if workload.work_type == "generate" else workload.tokens_in
    passes = 3 if workload.work_type == "train" else 1
    seconds_per_token = (
        2 * count / flops_per_second(workload.work_type, machine_types.request(step), machine_types.gpu_of(step))
    )
    return STEP_OVERHEAD_SECONDS.get(step.kind, MODEL_STEP_OVERHEAD_SECONDS) + passes * tokens * seconds_per_token


def flops_per_second(work_type: str, request: ResourceRequest, gpu: str | None) -> float:
    """Return the assumed floating-point operations per second of all replicas of a step, on this type of GPU."""
    if not request.gpus:
        return CPU_FLOPS[work_type] * request.replicas
    relative = relative_bandwidth if work_type == "generate" else relative_compute
    return GPU_FLOPS[work_type] * relative(gpu or ASSUMED_GPU) * request.gpus * request.replicas
