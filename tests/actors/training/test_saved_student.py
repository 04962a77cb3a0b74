"""The files of a saved student say nothing about where they, or the base, were written."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

from actors.training.model import load_model, load_tokenizer, save_student
from actors.training.spec import TrainSpec


def saved(base: Path, folder: Path) -> dict[str, bytes]:
    """Save an untrained LoRA student of a base; return the content of its files by their paths in the folder."""
    spec = TrainSpec(str(base), tuning="lora", lora_targets=("q_proj", "v_proj", "o_proj", "up_proj"))
    torch.manual_seed(0)
    save_student(load_model(spec, torch.float32), load_tokenizer(spec), torch.float32, str(folder))
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_students_are_equal_wherever_they_and_their_bases_are(model_folder: Path, tmp_path: Path) -> None:
    for name in ("here", "there"):
        shutil.copytree(model_folder, tmp_path / name / "base")
    first, second = (saved(tmp_path / name / "base", tmp_path / name / "student") for name in ("here", "there"))
    assert first == second and "adapter/adapter_model.safetensors" in first
    assert not [name for name, content in first.items() if str(tmp_path).encode() in content]
    targets = first["adapter/adapter_config.json"].decode().partition("target_modules")[2]
    assert 0 < targets.index("o_proj") < targets.index("q_proj") < targets.index("up_proj") < targets.index("v_proj")
