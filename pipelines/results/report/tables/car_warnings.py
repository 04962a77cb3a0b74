"""Warnings about CAR values that are not comparable."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.operators.select.car import selection_warning
from pipelines.results.report.data.rewards import SetCar


def car_warnings(entries: Sequence[SetCar]) -> tuple[str, ...]:
    """Return the warnings about negative mean rewards, one per reward model that has them."""
    warnings: list[str] = []
    for model in dict.fromkeys(entry.model for entry in entries):  # rewards are the same with every scorer
        own = [entry for entry in entries if entry.model == model]
        if text := selection_warning([entry.reward for entry in own], own[0].mode):
            warnings.append(f"{model}: {text}")
    return tuple(warnings)
