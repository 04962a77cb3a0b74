"""Worker groups: several processes produce the same model as one, with any sharding, even if one of them crashes."""

from __future__ import annotations

import dataclasses
import shutil
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from actors.training.spec import TrainPlacement, TrainSpec
from actors.training.trainer import train

PAIRS = [(f"Say {i}.", f"{i} " * (i % 4 + 1)) for i in range(9)]  # the last step of an epoch is not full


@pytest.fixture
def spec(model_folder: Path) -> TrainSpec:
    return TrainSpec(
        base=str(model_folder),
        dtype="float32",
        learning_rate=1e-3,
        epochs=2,
        batch_size=4,
        micro_batch_size=2,
        max_length=128,
        seed=3,
    )


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def workers() -> list[psutil.Process]:
    ours = {child.pid for child in psutil.Process().children(recursive=True)}
    named = psutil.process_iter(["cmdline"])
    return [one for one in named if one.pid in ours and "RayTrainWorker" in " ".join(one.info["cmdline"] or [])]


@pytest.mark.faults
def test_a_killed_worker_changes_nothing(ray_local, spec, tmp_path) -> None:
    killed: list[int] = []

    def kill_once(step: int, steps: int, loss: float) -> None:
        if step >= 4 and not killed:
            victim = workers()[-1]
            killed.append(victim.pid)
            victim.kill()

    spec = dataclasses.replace(spec, epochs=10, batch_size=6)
    placement = TrainPlacement(workers=3, cpus=0.5, checkpoint_steps=3)  # the sum of three depends on its order
    whole = train(spec, PAIRS, tmp_path / "whole", placement)
    broken = train(spec, PAIRS, tmp_path / "broken", placement, kill_once)
    assert killed
    assert broken.losses == whole.losses
    assert weights(tmp_path / "broken") == weights(tmp_path / "whole")
    alone = train(spec, PAIRS, tmp_path / "alone")
    assert (alone.rows, alone.steps, alone.tokens) == (whole.rows, whole.steps, whole.tokens)
    first = slice(20)  # rounding grows with the steps
    assert [loss for _, loss in alone.losses[first]] == pytest.approx(
        [loss for _, loss in whole.losses[first]], abs=1e-4
    )


@pytest.mark.parametrize(
    ("sharding", "tuning"), [("fsdp", "lora"), pytest.param("zero3", "full", marks=pytest.mark.faults)]
)
def test_sharded_students_are_the_same(ray_local, spec, tmp_path, sharding, tuning) -> None:
    import torch
    from safetensors.torch import load_file

    if sharding == "zero3" and (find_spec("deepspeed") is None or not shutil.which("g++")):
        pytest.skip("DeepSpeed builds its communication for CPUs with a C++ compiler")
    spec = dataclasses.replace(spec, tuning=tuning)
    alone = train(spec, PAIRS, tmp_path / "alone")
    placement = TrainPlacement(workers=2, cpus=0.5, sharding=sharding, checkpoint_steps=2)
    shared = train(spec, PAIRS, tmp_path / "shared", placement)
    assert [loss for _, loss in shared.losses] == pytest.approx([loss for _, loss in alone.losses], abs=1e-4)
    ours, theirs = (load_file(tmp_path / name / "model.safetensors") for name in ("shared", "alone"))
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, atol=2e-3, rtol=1e-2)
