"""What a fine-tuning is (`TrainSpec`), where it runs (`TrainPlacement`) and what it reports (`TrainOutcome`)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    import pyarrow as pa
    import ray


class TrainProgress(NamedTuple):
    """How far a training is: the last optimizer step, the number of all steps, and the loss of that step."""

    step: int
    steps: int
    loss: float


@dataclass(frozen=True, slots=True)
class TrainJob:
    """A training as it travels to its workers: one student, or several LoRA ones that share all but their rows.

    `staging_dir` is the folder or URL that holds everything until the end.
    """

    spec: TrainSpec
    placement: TrainPlacement
    pairs: tuple[ray.ObjectRef[pa.Table], ...]  # of each student, columns user, response
    staging_dir: str

    @property
    def threads(self) -> int:
        """Of each worker."""
        return max(1, math.ceil(self.placement.cpus))


Dtype = Literal["auto", "float32", "bfloat16"]
Sharding = Literal["none", "fsdp", "zero2", "zero3"]
ALL_LINEAR = "all-linear"
STUDENT_PREFIX = "student-"  # and a number: a trained student's folder


class TrainError(Exception):
    """A training that can not be done as asked, or that failed for good, after so many restarts."""

    def __init__(self, reason: str, restarts: int = 0) -> None:
        super().__init__(reason)
        self.restarts = restarts


@dataclass(frozen=True, slots=True)
class TrainSpec:
    """Everything that changes the trained weights. `base` is a local folder or a hub name.

    `batch_size` counts rows of one optimizer step over all workers, `max_length` tokens of prompt and response,
    `warmup_ratio` the share of all steps unless `warmup_steps` says how many. `packing`: the rows of a forward pass
    lie one behind another without padding, and none sees another. `dtype` bfloat16 means autocast over float32
    weights (full) or over a frozen bfloat16 base (LoRA); auto is the dtype that the base was saved in. LoRA adapts
    all linear layers but the head, or those whose names end in one of `lora_targets`. (2412.11231, Tables 6 and 7.)
    """

    base: str
    revision: str | None = None
    dtype: Dtype = "auto"
    tuning: Literal["full", "lora"] = "full"
    learning_rate: float = 2e-5
    epochs: int = 3
    batch_size: int = 64
    micro_batch_size: int = 1
    warmup_ratio: float = 0.03
    warmup_steps: int | None = None
    weight_decay: float = 0.0
    max_length: int = 2048
    packing: bool = False
    lora_rank: int = 8
    lora_alpha: int = 8
    lora_dropout: float = 0.0
    lora_targets: tuple[str, ...] = (ALL_LINEAR,)
    seed: int = 0


@dataclass(frozen=True, slots=True)
class TrainPlacement:
    """How many worker processes share a training, the CPUs and GPUs of each, and how they share the model's state.

    `sharding`: every worker holds all of it (none), or its part of parameters, gradients and optimizer (fsdp, zero3),
    or of gradients and optimizer (zero2). Changes the result by rounding at most: the rows of every step and their
    weights stay the same. `checkpoint_steps`: steps between checkpoints; default: an epoch's. `kind`: of the GPUs, any
    if empty.
    """

    workers: int = 1
    cpus: float = 1
    gpus: float = 0
    sharding: Sharding = "none"
    gradient_checkpointing: bool = False
    checkpoint_steps: int | None = None
    kind: str = ""

    @property
    def in_group(self) -> bool:
        """Whether it needs Ray Train's worker group; if not, one process of ours does it."""
        return self.workers > 1 or self.gpus > 0 or self.sharding != "none"


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast a training went: input tokens per second (padding excluded), and the share of the device's peak.

    `mfu` is 6 x `parameters` floating-point operations per token over `peak_flops` (per second, of all workers);
    `peak` says where the peak comes from. (PaLM, 2204.02311, Appendix B, without attention's own operations.)
    """

    tokens_per_second: float
    mfu: float
    parameters: int
    peak_flops: float
    peak: str


@dataclass(frozen=True, slots=True)
class TrainOutcome:
    """What was trained on: rows used and dropped, optimizer steps, input tokens over all epochs (padding excluded),
    seconds of the training itself since its last resume, the mean loss per answer token of every step, as (step
    from 1, loss), how many students shared the process, how often lost workers were replaced, and for how many seconds
    the process was waited for."""

    rows: int
    dropped: int
    steps: int
    tokens: int
    seconds: float
    losses: tuple[tuple[int, float], ...]
    speed: Speed
    together: int = 1
    restarts: int = 0
    start: float = 0.0


def accumulation_steps(spec: TrainSpec, workers: int) -> int:
    """Forward passes per optimizer step and worker, so that workers x micro batch x passes = `spec.batch_size`.

    Raises TrainError where no whole number of passes does it: the effective batch is never rescaled.
    """
    steps, remainder = divmod(spec.batch_size, workers * spec.micro_batch_size)
    if remainder or steps == 0:
        raise TrainError(
            f"a batch of {spec.batch_size} rows can not be split into {workers} worker(s) x {spec.micro_batch_size} "
            f"rows: choose batch_size as a multiple of {workers * spec.micro_batch_size}, or other workers or "
            "micro_batch_size"
        )
    return steps


def step_count(spec: TrainSpec, rows: int) -> int:
    """Optimizer steps of a training on so many rows; each epoch's last step takes what is left."""
    return math.ceil(rows / spec.batch_size) * spec.epochs


def warmup_count(spec: TrainSpec, steps: int) -> int:
    """Steps of linear warm-up among `steps`."""
    return math.ceil(steps * spec.warmup_ratio) if spec.warmup_steps is None else spec.warmup_steps


def learning_rate(spec: TrainSpec, step: int, steps: int) -> float:
    """The rate of optimizer step `step` (from 0): linear warm-up, then half a cosine; 0 from `steps` on."""
    if step >= steps:
        return 0.0
    warmup = warmup_count(spec, steps)
    if step < warmup:
        return spec.learning_rate * step / max(1, warmup)
    progress = (step - warmup) / max(1, steps - warmup)
    return spec.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))
