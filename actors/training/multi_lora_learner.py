"""Trains several LoRA students over one frozen base: one forward pass has the rows of all students."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from actors.training.learner import MAX_NORM, Learner
from actors.training.spec import TrainSpec


class MultiLoraLinear(nn.Module):
    """A frozen linear layer with low-rank updates of several students.

    Its input has the same number of tokens for each student, one student after the other. (LoRA, 2106.09685, eq. 3.)
    """

    def __init__(self, adapted: Any, students: int) -> None:
        super().__init__()
        self.base: nn.Module = adapted.base_layer
        self.scaling: float = adapted.scaling["default"]
        a, b = adapted.lora_A["default"].weight, adapted.lora_B["default"].weight
        self.a = nn.Parameter(a.detach().T.repeat(students, 1, 1))  # [students, in, rank]
        self.b = nn.Parameter(b.detach().T.repeat(students, 1, 1))  # [students, rank, out]

    def forward(self, x: Tensor) -> Tensor:
        y = self.base(x)  # [sequences, tokens, out]
        tokens = x.reshape(len(self.a), -1, x.shape[-1]).to(self.a.dtype)  # [students, tokens per student, in]
        return y + torch.bmm(torch.bmm(tokens, self.a), self.b * self.scaling).view_as(y).to(y.dtype)


class MultiLoraLearner(Learner):
    """Students with the same base and recipe, each with its own rows, gradient norm and learning rate.

    Each starts as `model`, and takes the same steps as if it was trained alone. With dropout, the steps would differ.
    """

    def __init__(
        self, model: nn.Module, spec: TrainSpec, bfloat16: bool, load_base: Callable[[], nn.Module], students: int
    ) -> None:
        self.students = students
        self.adapters: dict[str, MultiLoraLinear] = {}
        for name, module in [*model.named_modules()]:
            if hasattr(module, "lora_A"):
                self.adapters[name] = MultiLoraLinear(module, students)
                parent, _, attribute = name.rpartition(".")
                setattr(model.get_submodule(parent), attribute, self.adapters[name])
        super().__init__(model, spec, bfloat16, load_base)
        self.decay = spec.weight_decay
        self.parameters = [p for stack in self.adapters.values() for p in (stack.a, stack.b)]
        for group in self.optimizer.param_groups:
            group |= {"lr": 1.0, "weight_decay": 0.0}

    @torch.no_grad()
    def step(self, rates: Sequence[float]) -> None:
        """Update the weights: AdamW at rate 1 gives each student's update, which its own rate then scales."""
        self._clip()
        before = [parameter.clone() for parameter in self.parameters]
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        rate = torch.tensor(rates, device=self.device).view(-1, 1, 1)  # [students, 1, 1]
        for parameter, old in zip(self.parameters, before, strict=True):
            parameter.sub_(old).mul_(rate).addcmul_(old, 1 - rate * self.decay)

    def trained_models(self) -> Iterator[nn.Module]:
        """Yield peft's own model with each student's weights, in order."""
        model = self.load_base()
        for student in range(self.students):
            for name, stack in self.adapters.items():
                adapted: Any = model.get_submodule(name)
                adapted.lora_A["default"].weight.data.copy_(stack.a[student].T)
                adapted.lora_B["default"].weight.data.copy_(stack.b[student].T)
            yield copy.deepcopy(model)

    def _clip(self) -> None:
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        norms = torch.stack([torch.linalg.vector_norm(g, dim=(1, 2)) for g in gradients])  # [parameters, students]
        # [students, 1, 1]
        factors = (MAX_NORM / (torch.linalg.vector_norm(norms, dim=0) + 1e-6)).clamp(max=1.0).view(-1, 1, 1)
        for gradient in gradients:
            gradient.mul_(factors)
