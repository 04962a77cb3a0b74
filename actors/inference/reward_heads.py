"""Heads of reward models that transformers has no class for: built from a checkpoint's weights, never from its code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import linear, relu, softmax
from transformers.modeling_outputs import SequenceClassifierOutput

if TYPE_CHECKING:
    from transformers import PreTrainedModel

OBJECTIVES, TRANSFORM, SCALE = "regression_layer.weight", "reward_transform_matrix", "gating.logit_scale"
_LAYER = re.compile(r"gating\.layers\.(\d+)\.(weight|bias)")
TEMPERATURE = 10.0  # of the gate, if the config names none


class GatedReward(torch.nn.Module):
    """ArmoRM's scalar preference score: rewards of several objectives, weighted by a gate that reads the prompt.

    The rewards are computed at the conversation's last token, the weights at the last token before the last message
    (2406.12845, section 3).
    """

    objectives: torch.Tensor
    scale: torch.Tensor

    def __init__(self, body: PreTrainedModel, head: Mapping[str, torch.Tensor]) -> None:
        """Build the head from `head`, the tensors of the checkpoint that do not belong to the body.

        Raises:
            ValueError: If they are not the tensors of ArmoRM's head.
        """
        super().__init__()
        layers = _layers(head)
        self.body, self.config = body, body.config
        self.temperature = float(getattr(body.config, "gating_temperature", TEMPERATURE))
        self.register_buffer(
            "objectives", head[OBJECTIVES].float().T @ head[TRANSFORM].float()
        )  # [features, objectives]
        self.register_buffer("scale", head[SCALE].float())
        self.weights = torch.nn.ParameterList([head[f"gating.layers.{number}.weight"].float() for number in layers])
        self.biases = torch.nn.ParameterList([head[f"gating.layers.{number}.bias"].float() for number in layers])

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return self.body.device

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, prompt_lengths: torch.Tensor
    ) -> SequenceClassifierOutput:
        """Return logits [rows, 1] of right-padded rows [rows, tokens]; `prompt_lengths` [rows] is in tokens."""
        hidden = self.body(
            input_ids=input_ids, attention_mask=attention_mask
        ).last_hidden_state  # [rows, tokens, features]
        rows = torch.arange(len(hidden), device=hidden.device)  # [rows]
        # both [rows, features]
        last, prompt = hidden[rows, attention_mask.sum(1) - 1].float(), hidden[rows, prompt_lengths - 1].float()
        score = (self._gate(prompt) * (last @ self.objectives)).sum(1, keepdim=True)  # [rows, 1]
        return SequenceClassifierOutput(logits=score)  # pyright: ignore[reportArgumentType]

    def _gate(self, hidden: torch.Tensor) -> torch.Tensor:
        for number, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            hidden = linear(relu(hidden) if number else hidden, weight, bias)  # [rows, width of the layer]
        return softmax(hidden / self.temperature, dim=1) * self.scale  # [rows, objectives]


def _layers(head: Mapping[str, torch.Tensor]) -> list[int]:
    """Return the numbers of the gate's layers in order."""
    numbers = sorted({int(match[1]) for name in head if (match := _LAYER.fullmatch(name))})
    expected = {f"gating.layers.{number}.{part}" for number in numbers for part in ("weight", "bias")}
    if not numbers or set(head) != expected | {OBJECTIVES, TRANSFORM, SCALE}:
        raise ValueError(f"the reward head's tensors are not those of ArmoRM's gate: {', '.join(sorted(head)[:12])}")
    return numbers
