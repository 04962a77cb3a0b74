"""FSDP's shards on gloo: no worker ever holds all weights on its device, nor all gradients between two passes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.fsdp._fully_shard import _fsdp_init
from torch.distributed.tensor import DTensor
from transformers import LlamaConfig, LlamaForCausalLM

from actors.training import loop
from actors.training.batches import Batch
from actors.training.learner import FsdpLearner
from actors.training.model import load_model
from actors.training.spec import TrainJob, TrainPlacement, TrainSpec

CPU = torch.device("cpu")
SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 2}


@pytest.fixture
def gloo() -> Iterator[None]:
    """This process as a group of one."""
    dist.init_process_group("gloo", rank=0, world_size=1, store=dist.HashStore())
    yield
    dist.destroy_process_group()


@pytest.fixture
def job(tmp_path: Path) -> TrainJob:
    model = LlamaForCausalLM(LlamaConfig(vocab_size=100, dtype=torch.bfloat16, **SIZES))
    model.to(torch.bfloat16).save_pretrained(tmp_path)
    return TrainJob(TrainSpec(str(tmp_path)), TrainPlacement(sharding="fsdp"), (), "")


def batch() -> Batch:
    ids = torch.arange(8)[None]
    return Batch({"input_ids": ids, "attention_mask": torch.ones_like(ids)}, ids)


def whole_gradients(model: nn.Module) -> list[torch.Tensor]:
    """The gradients of whole parameters that FSDP keeps for a later pass."""
    groups = [
        group
        for module in model.modules()
        if isinstance(module, FSDPModule)
        for group in module._get_fsdp_state()._fsdp_param_groups
    ]
    kept = [one.unsharded_accumulated_grad for group in groups for one in group.fsdp_params]
    return [one for one in kept if one is not None]


def test_each_layer_is_moved_when_it_is_sharded(gloo, job, monkeypatch) -> None:
    moved, move = list[int](), _fsdp_init._move_states_to_device

    def spy(parameters: Any, buffers: Any, device: torch.device) -> None:
        moved.append(sum(each.numel() for each in parameters))
        move(parameters, buffers, device)

    for name in ("_fsdp_init", "_fully_shard"):
        monkeypatch.setattr(f"torch.distributed.fsdp._fully_shard.{name}._move_states_to_device", spy, raising=False)
    monkeypatch.setattr(loop.ray.train.torch, "get_device", lambda: CPU)
    whole = list[nn.Module]()
    monkeypatch.setattr(nn.Module, "to", lambda self, *_, **__: (whole.append(self), self)[1])
    learner = loop._make_learner(job, torch.bfloat16, 1, in_process=False)
    total = sum(each.numel() for each in learner.model.parameters())
    assert len(moved) == SIZES["num_hidden_layers"] + 1 and sum(moved) == total
    assert max(moved) < total / 2
    assert not whole


def test_gradients_are_sharded_after_every_pass(gloo, job) -> None:
    learner = FsdpLearner(load_model(job.spec, torch.float32), job.spec, True, nn.Module, CPU)
    for last in (False, False, True):
        learner.begin(last)
        learner.backward(learner.losses(batch()).sum())
        assert not whole_gradients(learner.model)
        assert all(isinstance(each.grad, DTensor) for each in learner.model.parameters())


def test_the_mesh_is_the_workers_device_whatever_the_machine_has(gloo, job, monkeypatch) -> None:
    monkeypatch.setattr(torch._C, "_get_accelerator", lambda: torch.device("cuda"))
    learner = FsdpLearner(load_model(job.spec, torch.float32), job.spec, True, nn.Module, CPU)
    assert {each.device_mesh.device_type for each in learner.model.parameters()} == {"cpu"}


def test_the_base_of_sharded_adapters_stays_in_16_bit(gloo, job) -> None:
    lora = dataclasses.replace(job, spec=dataclasses.replace(job.spec, tuning="lora"))
    model = loop._load(lora, torch.bfloat16)
    learner = FsdpLearner(model, lora.spec, True, nn.Module, CPU)
    dtypes = {each.requires_grad: each.dtype for each in learner.model.parameters()}
    assert dtypes == {True: torch.float32, False: torch.bfloat16}
    learner.backward(learner.losses(batch()).sum())
    learner.step([1e-3])
    assert all(each.grad is None for each in learner.model.parameters())
