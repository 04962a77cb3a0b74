"""The precision of a training: that of the saved base, but never an emulated one that nobody asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig

from actors.training import model
from actors.training.model import compute_dtype, saved_dtype
from actors.training.spec import TrainSpec


@pytest.mark.parametrize(
    ("precision", "native", "on_gpu", "expected"),
    [
        ("auto", False, False, torch.float32),
        ("auto", False, True, torch.bfloat16),
        ("auto", True, False, torch.bfloat16),
        ("bfloat16", False, False, torch.bfloat16),
    ],
)
def test_auto_avoids_emulated_bfloat16(
    precision: str, native: bool, on_gpu: bool, expected: torch.dtype, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    LlamaConfig(dtype=torch.bfloat16).save_pretrained(tmp_path)
    monkeypatch.setattr(model, "has_native_bfloat16", lambda: native)
    spec = TrainSpec(str(tmp_path), dtype=precision)  # pyright: ignore[reportArgumentType]
    assert compute_dtype(spec, on_gpu) == expected
    assert saved_dtype(spec) == torch.bfloat16
