"""Reads the weights of a LoRA adapter, and checks that they belong to the model they are to be applied to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from actors.engine import LoadError
from actors.model_folder.adapter import (
    ADAPTER_WEIGHTS,
    adapter_folder,
    read_adapter_config,
    scaling,
    sharing_problem,
)
from actors.model_folder.weights import first_names

_PREFIX = "base_model.model."
_DOWN, _UP = ".lora_A.weight", ".lora_B.weight"


@dataclass(frozen=True, slots=True)
class Adapter:
    """The updates of one adapter by the names of the base's layers: `A` [rank, in], and `B` [rank, out] scaled."""

    updates: Mapping[str, tuple[Tensor, Tensor]]

    def to(self, device: torch.device) -> Adapter:
        """Return the same on another device."""
        return Adapter({name: (down.to(device), up.to(device)) for name, (down, up) in self.updates.items()})


def read_adapter(folder: str, modules: Mapping[str, nn.Module], model: Any) -> Adapter:
    """Return the adapter in a folder, in the dtype and on the device of the model.

    Args:
        folder: The folder of a student or of peft's files.
        modules: The modules of the base by name.
        model: The base.

    Raises:
        LoadError: The adapter is incomplete, is not one of this base, or cannot be applied beside others.
    """
    from safetensors.torch import load_file

    files = adapter_folder(folder)
    try:
        config = read_adapter_config(str(files))
        weights = load_file(files / ADAPTER_WEIGHTS)
    except Exception as error:  # safetensors has its own type
        raise LoadError(folder, f"its adapter cannot be read: {' '.join(str(error).split())}") from error
    if problem := sharing_problem(config, weights):
        raise LoadError(folder, f"its adapter cannot be applied beside others: {problem}")
    names = {name.removeprefix(_PREFIX).removesuffix(_DOWN) for name in weights if name.endswith(_DOWN)}
    _check_names(folder, weights, _expected_layers(str(files), modules))
    factor = scaling(config)
    pairs = {name: (weights[f"{_PREFIX}{name}{_DOWN}"], weights[f"{_PREFIX}{name}{_UP}"] * factor) for name in names}
    _check_shapes(folder, pairs, modules)
    moved = {
        name: (down.to(model.device, model.dtype), up.to(model.device, model.dtype).T.contiguous())
        for name, (down, up) in pairs.items()
    }
    return Adapter(moved)


def _expected_layers(files: str, modules: Mapping[str, nn.Module]) -> list[str]:
    """Return the names of the layers that the adapter's config targets, as peft finds them."""
    from peft import PeftConfig
    from peft.tuners.tuners_utils import check_target_module_exists

    config = PeftConfig.from_pretrained(files)
    return [name for name in modules if name and check_target_module_exists(config, name)]


def _check_names(folder: str, weights: Iterable[str], layers: Iterable[str]) -> None:
    found, expected = {*weights}, {f"{_PREFIX}{name}{part}" for name in layers for part in (_DOWN, _UP)}
    for reason, names in (("lacks", expected - found), ("has weights unknown to its base:", found - expected)):
        if names:
            raise LoadError(folder, f"its adapter {reason} {first_names(names)}")


def _check_shapes(folder: str, pairs: Mapping[str, tuple[Tensor, Tensor]], modules: Mapping[str, nn.Module]) -> None:
    """Raise LoadError unless every update has the inputs and outputs of its layer, if these are known."""
    for name, (down, up) in pairs.items():
        layer = modules[name]
        sizes = getattr(layer, "in_features", down.shape[1]), getattr(layer, "out_features", up.shape[0])
        if (down.shape[1], up.shape[0]) != sizes or len(down) != up.shape[1]:
            raise LoadError(folder, f"its adapter has other sizes than the base in {name}")
