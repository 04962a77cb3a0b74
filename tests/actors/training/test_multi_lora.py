"""LoRA students of one process are what each would be alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from actors.training.spec import TrainError, TrainPlacement, TrainSpec
from actors.training.trainer import train, train_multi_lora

SETS = [[(f"Say {i} of {n}.", f"{i} " * (n + 1)) for i in range(5 + 4 * n)] for n in range(3)]  # 5, 9 and 13 rows


@pytest.fixture
def spec(model_folder: Path) -> TrainSpec:
    return TrainSpec(
        base=str(model_folder),
        dtype="float32",
        tuning="lora",
        learning_rate=1e-3,
        epochs=3,
        batch_size=4,
        micro_batch_size=2,
        weight_decay=0.01,
        max_length=128,
        seed=5,
    )


def adapter(folder: Path):
    from safetensors.torch import load_file

    return load_file(folder / "adapter" / "adapter_model.safetensors")


@pytest.mark.parametrize("packing", [False, True])
def test_together_as_alone(ray_local, spec, tmp_path, packing) -> None:
    import torch
    from safetensors.torch import load_file

    spec = dataclasses.replace(spec, packing=packing)
    outputs = [tmp_path / f"together-{n}" for n in range(3)]
    together = train_multi_lora(spec, SETS, outputs)
    for number, (pairs, outcome) in enumerate(zip(SETS, together, strict=True)):
        alone_folder = tmp_path / f"alone-{number}"
        alone = train(spec, pairs, alone_folder)
        assert (alone.rows, alone.steps, alone.tokens) == (outcome.rows, outcome.steps, outcome.tokens)
        assert [loss for _, loss in outcome.losses] == pytest.approx([loss for _, loss in alone.losses], abs=1e-5)
        ours, theirs = adapter(outputs[number]), adapter(alone_folder)
        assert ours.keys() == theirs.keys()
        for name, tensor in theirs.items():
            torch.testing.assert_close(ours[name], tensor, atol=1e-4, rtol=1e-3)
        merged, other = (load_file(folder / "model.safetensors") for folder in (outputs[number], alone_folder))
        for name, tensor in other.items():
            torch.testing.assert_close(merged[name], tensor, atol=1e-4, rtol=1e-3)
    assert outcome.together == 3 and alone.together == 1
    assert not list(tmp_path.glob(".*"))


def test_only_what_can_share_a_process_does(spec, tmp_path) -> None:
    outputs = [tmp_path / "a", tmp_path / "b"]
    for wrong in (dataclasses.replace(spec, tuning="full"), dataclasses.replace(spec, lora_dropout=0.1)):
        with pytest.raises(TrainError, match="only LoRA students without dropout"):
            train_multi_lora(wrong, SETS[:2], outputs)
    with pytest.raises(TrainError, match="only LoRA students"):
        train_multi_lora(spec, SETS[:2], outputs, TrainPlacement(workers=2))
