"""The learning rate of every optimizer step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Scheduler = Literal["cosine", "linear", "constant"]


@dataclass(frozen=True, slots=True)
class Schedule:
    """A linear warm-up to `peak` over `warmup` steps; then half a cosine or a line to 0 at `steps`, or a constant.

    (The same as transformers' schedules of these names, `constant` as its `constant_with_warmup`.)
    """

    scheduler: Scheduler
    peak: float
    warmup: int
    steps: int

    def rate(self, step: int) -> float:
        """Return the learning rate of step `step` (from 0); 0 from `steps` on."""
        if step >= self.steps:
            return 0.0
        if step < self.warmup:
            return self.peak * step / self.warmup
        progress = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.peak * _remaining(self.scheduler, progress)


def _remaining(scheduler: Scheduler, progress: float) -> float:
    """Return the factor of the peak after this share of the steps after the warm-up."""
    match scheduler:
        case "cosine":
            return 0.5 * (1 + math.cos(math.pi * progress))
        case "linear":
            return 1 - progress
        case "constant":
            return 1.0
