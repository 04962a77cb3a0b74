"""The specification of a fine-tuning (`TrainSpec`), its resources (`TrainPlacement`), its result (`TrainOutcome`)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from actors.training.optimization.schedule import Schedule, Scheduler

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
    """A training as it is sent to its workers: one student, or several LoRA students that differ only in their rows.

    All files are written to `staging_dir`, a folder or URL, until the training is complete.
    """

    spec: TrainSpec
    placement: TrainPlacement
    pairs: tuple[ray.ObjectRef[pa.Table], ...]  # one per student, with a column per field of TrainRow
    staging_dir: str

    @property
    def threads(self) -> int:
        """CPU threads of each worker."""
        return max(1, math.ceil(self.placement.cpus))


Dtype = Literal["auto", "float32", "bfloat16"]
Loss = Literal["last", "all"]
OptimizerName = Literal["adamw", "adafactor"]
Sharding = Literal["none", "fsdp", "zero2", "zero3"]
ALL_LINEAR = "all-linear"
STUDENT_PREFIX = "student-"  # followed by a number, the folder of a trained student


class TrainRow(NamedTuple):
    """One row to learn: a user's turn and the response to it, after the messages `before` (role and content).

    `thoughts` come before the response and are learned, too, even if they are empty. If they are None, the response is
    learned without thoughts.
    """

    user: str
    response: str
    before: tuple[tuple[str, str], ...] = ()
    thoughts: str | None = None


class TrainError(Exception):
    """A training that cannot be done as specified, or that failed permanently after `restarts` restarts."""

    def __init__(self, reason: str, restarts: int = 0) -> None:
        super().__init__(reason)
        self.restarts = restarts


class TrainingStopped(Exception):
    """The run has disconnected from Ray during the training, which has not failed."""


@dataclass(frozen=True, slots=True)
class TrainSpec:
    """All settings that change the trained weights. `base` is a local folder or a hub name.

    `batch_size` counts the rows of one optimizer step over all workers, `max_length` the tokens of a conversation.
    `loss` covers the last turn of the assistant in a conversation, or all of them.
    `warmup_ratio` is a share of all steps; `warmup_steps` overrides it. With `packing`, the rows of a forward pass are
    concatenated without padding, and no row attends to another. `dtype` bfloat16 means autocast over float32 weights
    (full) or over a frozen bfloat16 base (LoRA); auto is the dtype in which the base was saved. LoRA adapts all linear
    layers except the head, or those whose names end in one of `lora_targets`. (2412.11231, Tables 6 and 7.)
    `scheduler` is the course of the learning rate after the warm-up.
    `chat_template` (Jinja text) replaces the base's own, and `template_args` are passed to it. With `thinking`, the
    rows have thoughts; without it, thoughts that the template's generation prompt opens are closed there.
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
    thinking: bool = False
    chat_template: str | None = None
    template_args: tuple[tuple[str, str | int | float | bool], ...] = ()
    loss: Loss = "last"
    scheduler: Scheduler = "cosine"
    optimizer: OptimizerName = "adamw"


@dataclass(frozen=True, slots=True)
class TrainPlacement:
    """The worker processes of a training, the CPUs and GPUs of each, and how they share the model's state.

    `sharding`: every worker holds all of the state (none), or its shard of parameters, gradients and optimizer state
    (fsdp, zero3), or its shard of gradients and optimizer state (zero2). A placement changes the result by rounding at
    most: the rows of every step and their weights stay the same. `checkpoint_steps` is the number of steps between
    checkpoints (default: one epoch). `kind` is the type of the GPUs; empty means any.
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
        """Whether it needs Ray Train's worker group; if not, it runs in a single warm process."""
        return self.workers > 1 or self.gpus > 0 or self.sharding != "none"


@dataclass(frozen=True, slots=True)
class Speed:
    """The speed of a training: input tokens per second (padding excluded), and the share of the device's peak (MFU).

    `mfu` is 6 x `parameters` floating-point operations per token over `peak_flops` (per second, of all workers);
    `peak` names the source of the peak. (PaLM, 2204.02311, Appendix B, without the operations of attention itself.)
    """

    tokens_per_second: float
    mfu: float
    parameters: int
    peak_flops: float
    peak: str


@dataclass(frozen=True, slots=True)
class TrainOutcome:
    """The result of training one student.

    `rows` and `dropped` count the rows that were used and not used, `shortened` the used ones that were cut to the
    maximum length, `steps` the optimizer steps, `tokens` the input
    tokens over all epochs (padding excluded). `seconds` is the time of the training itself since its last resume.
    `losses` are pairs of a step (from 1) and its mean loss per answer token. `together` students shared the process,
    lost workers were replaced `restarts` times, and the process took `start` seconds to become ready.
    """

    rows: int
    dropped: int
    steps: int
    tokens: int
    seconds: float
    losses: tuple[tuple[int, float], ...]
    speed: Speed
    shortened: int = 0
    together: int = 1
    restarts: int = 0
    start: float = 0.0


def accumulation_steps(spec: TrainSpec, workers: int) -> int:
    """Return the forward passes per optimizer step and worker: workers x micro batch x passes = `spec.batch_size`.

    Raises:
        TrainError: If the number of passes is not whole. The effective batch is never rescaled.
    """
    steps, remainder = divmod(spec.batch_size, workers * spec.micro_batch_size)
    if remainder or steps == 0:
        raise TrainError(
            f"a batch of {spec.batch_size} rows cannot be split into {workers} worker(s) x {spec.micro_batch_size} "
            f"rows: choose batch_size as a multiple of {workers * spec.micro_batch_size}, or other workers or "
            "micro_batch_size"
        )
    return steps


def step_count(spec: TrainSpec, rows: int) -> int:
    """Return the optimizer steps of a training on `rows` rows; each epoch's last step takes the remaining rows."""
    return math.ceil(rows / spec.batch_size) * spec.epochs


def warmup_count(spec: TrainSpec, steps: int) -> int:
    """Return the number of linear warm-up steps among `steps`."""
    return math.ceil(steps * spec.warmup_ratio) if spec.warmup_steps is None else spec.warmup_steps


def schedule(spec: TrainSpec, steps: int) -> Schedule:
    """Return the learning rates of a training of `steps` optimizer steps."""
    return Schedule(spec.scheduler, spec.learning_rate, warmup_count(spec, steps), steps)
