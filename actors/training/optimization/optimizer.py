"""The optimizer of a training, by the name in its recipe."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return an optimizer's parameter groups: matrices with weight decay, biases and norms without."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [one for one in trained if one.ndim >= 2], "weight_decay": weight_decay},
        {"params": [one for one in trained if one.ndim < 2], "weight_decay": 0.0},
    ]


def make_optimizer(name: str, model: nn.Module, weight_decay: float, device: torch.device) -> torch.optim.Optimizer:
    """Return the optimizer of a model's trained parameters on `device`. Each step sets its learning rate.

    On a GPU, AdamW is fused: its default there holds 4 more bytes per parameter during a step.

    (AdamW: 1711.05101. Adafactor: 1804.04235, but at the schedule's learning rate, as in transformers' Trainer.)
    """
    groups = parameter_groups(model, weight_decay)
    if name == "adafactor":
        from transformers.optimization import Adafactor

        return Adafactor(groups, lr=0.0, scale_parameter=False, relative_step=False)
    return torch.optim.AdamW(groups, lr=0.0, fused=device.type == "cuda")
