"""A student whose state DeepSpeed shards over the workers: ZeRO-2 and ZeRO-3."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from actors.training.learner import MAX_NORM, Learner, matmul_parameter_count
from actors.training.optimization.optimizer import make_optimizer
from actors.training.spec import TrainError, TrainSpec

CHECKPOINT_TAG = "state"


def zero_config(stage: int, spec: TrainSpec, passes: int, bfloat16: bool) -> dict[str, Any]:
    """Return DeepSpeed's settings for a stage of ZeRO and `passes` forward passes per step and worker."""
    return {
        "train_micro_batch_size_per_gpu": spec.micro_batch_size,
        "gradient_accumulation_steps": passes,
        "gradient_clipping": MAX_NORM,
        "zero_optimization": {"stage": stage},
        "bf16": {"enabled": bfloat16},
        "steps_per_print": 10**9,
    }


def import_deepspeed() -> Any:
    """Return the DeepSpeed module; without a GPU, it is set to use CPUs.

    Raises:
        TrainError: If DeepSpeed is not installed on this node.
    """
    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    try:
        import deepspeed
    except ModuleNotFoundError as error:
        remedy = "install it there with `pip install 'evolgrid[deepspeed]'`, or use `sharding: fsdp`"
        raise TrainError(f"ZeRO needs DeepSpeed, which a node lacks ({error}): {remedy}") from error

    return deepspeed


class DeepSpeedLearner(Learner):
    """DeepSpeed handles gradients, clipping, the optimizer and checkpoints."""

    equal_pass_counts = True

    def __init__(
        self,
        load: Callable[[], nn.Module],
        spec: TrainSpec,
        bfloat16: bool,
        config: dict[str, Any],
        device: torch.device,
    ) -> None:
        from transformers.integrations.deepspeed import HfDeepSpeedConfig

        deepspeed = import_deepspeed()
        deepspeed.init_distributed(dist_backend=torch.distributed.get_backend(), verbose=False)
        self.stage: int = config["zero_optimization"]["stage"]
        if self.stage == 3:
            self._zero3_config = HfDeepSpeedConfig(config)  # while this object exists, weights are loaded in shards
        model = load() if self.stage == 3 else load().to(device)
        self.parameter_count = matmul_parameter_count(model)
        optimizer = make_optimizer(spec.optimizer, model, spec.weight_decay, device)
        self.engine: Any = deepspeed.initialize(model=model, optimizer=optimizer, config=config)[0]
        self.model, self.optimizer, self.device = self.engine, self.engine.optimizer, device
        self.bfloat16, self.load_base = False, load  # DeepSpeed casts by itself
        self.accumulation_steps: int = config["gradient_accumulation_steps"]
        self.is_last_pass = False

    def begin(self, last: bool) -> None:
        self.is_last_pass = last

    def backward(self, loss: torch.Tensor) -> None:
        self.engine.backward(loss * self.accumulation_steps)  # DeepSpeed takes the mean over passes
        if not self.is_last_pass:
            self.engine.step()  # counts the pass

    def step(self, rates: Sequence[float]) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = rates[0]
        self.engine.step()

    def save(self, folder: Path) -> None:
        (folder / CHECKPOINT_TAG).mkdir(parents=True, exist_ok=True)  # on every worker: each may have its own disk
        self.engine.save_checkpoint(str(folder), tag=CHECKPOINT_TAG, exclude_frozen_parameters=True)

    def load(self, folder: Path) -> None:
        self.engine.load_checkpoint(str(folder), tag=CHECKPOINT_TAG, load_module_strict=False)

    def trained_models(self) -> Iterator[nn.Module]:
        from transformers.integrations.deepspeed import unset_hf_deepspeed_config

        state = self._full_state()
        unset_hf_deepspeed_config()
        if torch.distributed.get_rank() == 0:
            full_model = self.load_base()
            full_model.load_state_dict(state, strict=False)
            yield full_model

    def _full_state(self) -> dict[str, torch.Tensor]:
        zero = import_deepspeed().zero
        state: dict[str, torch.Tensor] = {}
        for name, parameter in self.engine.module.named_parameters():
            if parameter.requires_grad:
                with zero.GatheredParameters([parameter], enabled=self.stage == 3):
                    if torch.distributed.get_rank() == 0:
                        state[name] = parameter.detach().to("cpu", torch.float32, copy=True)
        return state
