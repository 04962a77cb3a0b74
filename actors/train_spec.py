"""What a fine-tuning is (`TrainSpec`), where it runs (`TrainPlacement`) and what it reports (`TrainOutcome`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


class TrainError(Exception):
    """A training that can not be done as asked, or that failed for good."""


@dataclass(frozen=True, slots=True)
class TrainSpec:
    """Everything that changes the trained weights. `base` is a local folder or a hub name.

    `batch_size` counts rows of one optimizer step over all workers, `max_length` tokens of prompt and response,
    `warmup_ratio` the share of all steps. `dtype` bfloat16 means autocast over float32 weights (full) or over a
    frozen bfloat16 base (LoRA); auto is the dtype that the base was saved in. (2412.11231, Table 6.)
    """

    base: str
    revision: str | None = None
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    tuning: Literal["full", "lora"] = "full"
    learning_rate: float = 2e-5
    epochs: int = 3
    batch_size: int = 64
    micro_batch_size: int = 1
    warmup_ratio: float = 0.03
    weight_decay: float = 0.0
    max_length: int = 2048
    lora_rank: int = 8
    lora_alpha: int = 8
    seed: int = 0


@dataclass(frozen=True, slots=True)
class TrainPlacement:
    """How many worker processes share a training, and the CPUs and GPUs of each.

    Changes the result by rounding at most: the rows of every step and their weights stay the same.
    """

    workers: int = 1
    cpus: float = 1
    gpus: float = 0


@dataclass(frozen=True, slots=True)
class TrainOutcome:
    """What was trained on: rows used and dropped, optimizer steps, input tokens over all epochs (padding excluded),
    seconds of the training itself, and the mean loss per answer token of every step, as (step from 1, loss)."""

    rows: int
    dropped: int
    steps: int
    tokens: int
    seconds: float
    losses: tuple[tuple[int, float], ...]


def accumulation_steps(spec: TrainSpec, workers: int) -> int:
    """Forward passes per optimizer step and worker, so that workers x micro batch x passes = `spec.batch_size`.

    Raises TrainError where no whole number of passes does it: the effective batch is never rescaled.
    """
    steps, rest = divmod(spec.batch_size, workers * spec.micro_batch_size)
    if rest or steps == 0:
        raise TrainError(
            f"a batch of {spec.batch_size} rows can not be split into {workers} worker(s) x {spec.micro_batch_size} "
            f"rows: choose batch_size as a multiple of {workers * spec.micro_batch_size}, or other workers or "
            "micro_batch_size"
        )
    return steps
