"""Writes checkpoints whose weights are between those of two bundled models."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

import bundled
from pipelines.reproduction.small.assignment import Checkpoint

WEIGHTS = "model.safetensors"


def write_checkpoints(checkpoints: Iterable[Checkpoint], folder: Path) -> None:
    """Write the checkpoints that are not bundled models to their folders below `folder`, unless they are there."""
    for checkpoint in checkpoints:
        target = folder / checkpoint.source
        if not checkpoint.source.startswith("bundled:") and not (target / WEIGHTS).is_file():
            _write(checkpoint, target)


def _write(checkpoint: Checkpoint, target: Path) -> None:
    from safetensors.torch import load_file, save_file

    start, end = (load_file(bundled.path(name) / WEIGHTS) for name in (checkpoint.start, checkpoint.end))
    mixed = {
        name: (start[name].float().lerp(tensor.float(), checkpoint.share) if name in start else tensor).to(tensor.dtype)
        for name, tensor in end.items()
    }
    target.mkdir(parents=True, exist_ok=True)
    for file in bundled.path(checkpoint.end).iterdir():
        if file.name != WEIGHTS:
            shutil.copyfile(file, target / file.name)
    partial = target / f"{WEIGHTS}.partial"
    save_file(mixed, partial, metadata={"format": "pt"})
    partial.replace(target / WEIGHTS)
