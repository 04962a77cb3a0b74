"""A student's model and optimizer in one worker: a single process, one of DDP's copies, or an FSDP2 shard."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from actors.inference.chat_template import IGNORED
from actors.training.batches import Batch
from actors.training.optimization.optimizer import make_optimizer
from actors.training.spec import TrainSpec

MAX_NORM = 1.0  # gradients are clipped to this norm, the default of transformers' Trainer


def response_losses(model: Callable[..., Any], batch: Batch, students: int) -> Tensor:
    """Return each student's sum of losses over the answer tokens of its rows, [students].

    The head computes the logits only at positions before answer tokens. (2412.11231: the loss counts responses only.)
    """
    positions = (batch.targets != IGNORED).any(0).nonzero().squeeze(1)  # [positions]
    if not len(positions):  # nothing is learned, but all workers have to take part
        positions = torch.zeros(1, dtype=torch.int64, device=batch.targets.device)  # [1]
    packing = {} if batch.row_lengths is None else {"row_lengths": batch.row_lengths}
    # [sequences, positions, vocabulary]
    logits = model(**batch.inputs, **packing, use_cache=False, logits_to_keep=positions).logits
    targets = batch.targets[:, positions].flatten()  # [sequences * positions]
    # [sequences * positions]
    losses = F.cross_entropy(logits.float().flatten(0, 1), targets, ignore_index=IGNORED, reduction="none")
    sequences, tokens = batch.targets.shape
    indices = torch.arange(sequences, device=positions.device)[:, None] * tokens + positions  # [sequences, positions]
    owners = indices.flatten() * students // (sequences * tokens)  # [sequences * positions]: numbers of students
    return losses.new_zeros(students).index_add(0, owners, losses)  # [students]


def matmul_parameter_count(model: nn.Module) -> int:
    """Return the number of parameters that a token is multiplied with: all but embeddings that are only looked up."""
    heads = {id(module.weight) for module in model.modules() if isinstance(module, nn.Linear)}
    looked_up = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)} - heads
    return sum(int(getattr(p, "ds_numel", p.numel())) for p in model.parameters() if id(p) not in looked_up)


class Learner:
    """One student. `load_base` loads its base again, to take the complete weights of a student trained in shards.

    Calls of a step, in this order: for each forward pass `begin`, `losses` and `backward`, then `step` once.
    """

    students = 1
    equal_pass_counts = False  # whether every step needs the same number of forward passes

    def __init__(self, model: nn.Module, spec: TrainSpec, bfloat16: bool, load_base: Callable[[], nn.Module]) -> None:
        self.model, self.bfloat16, self.load_base = model, bfloat16, load_base
        self.device = next(model.parameters()).device
        self.optimizer = make_optimizer(spec.optimizer, model, spec.weight_decay, self.device)
        self.parameter_count = matmul_parameter_count(model)

    def begin(self, last: bool) -> None:
        """Prepare for a forward pass; `last` is whether it is the last one of a step."""

    def losses(self, batch: Batch) -> Tensor:
        """Return each student's sum of losses over its answer tokens, [students]."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            return response_losses(self.model, batch.to(self.device), self.students)

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a forward pass; they are averaged over workers."""
        loss.backward()

    def step(self, rates: Sequence[float]) -> None:
        """Update the weights, each student's at its own learning rate."""
        nn.utils.clip_grad_norm_([p for p in self.model.parameters() if p.requires_grad], MAX_NORM)
        for group in self.optimizer.param_groups:
            group["lr"] = rates[0]
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def save(self, folder: Path) -> None:
        """Write this worker's part of a checkpoint to `folder`."""
        from torch.distributed.checkpoint.state_dict_saver import save

        save(self._state(), checkpoint_id=folder)

    def load(self, folder: Path) -> None:
        """Load a checkpoint, which may be from another number of workers."""
        from torch.distributed.checkpoint.state_dict import StateDictOptions, set_state_dict
        from torch.distributed.checkpoint.state_dict_loader import load

        state = self._state()
        load(state, checkpoint_id=folder)
        options = StateDictOptions(ignore_frozen_params=True, strict=False)
        set_state_dict(
            self.model,
            self.optimizer,
            model_state_dict=state["model"],
            optim_state_dict=state["optimizer"],
            options=options,
        )

    def trained_models(self) -> Iterator[nn.Module]:
        """Yield the trained models, one per student, on worker 0 only. Finish using each before taking the next."""
        yield self.model

    def _state(self) -> dict[str, Any]:
        from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict

        options = StateDictOptions(ignore_frozen_params=True)
        model, optimizer = get_state_dict(self.model, self.optimizer, options=options)
        return {"model": model, "optimizer": optimizer}


class DdpLearner(Learner):
    """Every worker holds the whole model (DDP)."""

    def __init__(self, model: nn.Module, spec: TrainSpec, bfloat16: bool, load_base: Callable[[], nn.Module]) -> None:
        # Without `find_unused_parameters`, DDP regroups gradients after the first step, also after a resume. With three
        # or more workers, the sum of gradients would be rounded in another order than without the interruption.
        wrapped = nn.parallel.DistributedDataParallel(model, find_unused_parameters=True)
        super().__init__(wrapped, spec, bfloat16, load_base)
        self.ddp = wrapped

    def begin(self, last: bool) -> None:
        self.ddp.require_backward_grad_sync = last

    def trained_models(self) -> Iterator[nn.Module]:
        if torch.distributed.get_rank() == 0:
            yield self.ddp.module


class FsdpLearner(Learner):
    """Every worker holds a shard of all parameters, gradients and optimizer states (FSDP2).

    `model` may be on the CPU: each layer is moved to `device` as it is sharded, so that no GPU ever holds all weights.
    Gradients are exchanged after every pass: until then, each worker would hold those of all parameters.
    """

    def __init__(
        self,
        model: nn.Module,
        spec: TrainSpec,
        bfloat16: bool,
        load_base: Callable[[], nn.Module],
        device: torch.device,
    ) -> None:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

        policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32) if bfloat16 else None
        # without a mesh, FSDP takes the GPUs of the machine, also for workers on CPUs
        options: dict[str, Any] = {"mesh": init_device_mesh(device.type, (torch.distributed.get_world_size(),))}
        options |= {"mp_policy": policy} if policy else {}
        layers: set[str] = set(getattr(model, "_no_split_modules", ()))
        for module in model.modules():
            if type(module).__name__ in layers:
                fully_shard(module, **options)
        fully_shard(model, **options)
        super().__init__(model, spec, bfloat16, load_base)

    def trained_models(self) -> Iterator[nn.Module]:
        from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

        options = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=True)
        state = get_model_state_dict(self.model, options=options)
        if torch.distributed.get_rank() == 0:
            full_model = self.load_base()
            full_model.load_state_dict(state, strict=False)
            yield full_model
