"""The estimate of a training's memory against the peaks that PyTorch's tracker measures, with optimizers as on GPUs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch.distributed._tools.mem_tracker import MemTracker
from torch.testing._internal.distributed.fake_pg import FakeStore
from transformers import LlamaConfig, LlamaForCausalLM

from actors.training import learner as learners
from actors.training.batches import Batch
from actors.training.learner import DdpLearner, FsdpLearner, Learner
from actors.training.spec import TrainSpec
from cluster.resources.memory_footprint import BUCKET_BYTES, TrainingConfig, training_memory
from cluster.resources.model_architecture import architecture

WORKERS, PASSES, TOKENS, LONG = 8, 2, 4, 1024
CPU, GPU = torch.device("cpu"), torch.device("cuda")
CONFIG = {
    "model_type": "llama",
    "vocab_size": 800,
    "hidden_size": 256,
    "intermediate_size": 768,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


@pytest.fixture
def group() -> Iterator[None]:
    """Eight workers, of which this process is the only one: what the others would send is not there."""
    dist.init_process_group("fake", rank=0, world_size=WORKERS, store=FakeStore())
    yield
    dist.destroy_process_group()


@pytest.fixture
def fused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The optimizer that a GPU would have."""
    make = learners.make_optimizer
    monkeypatch.setattr(learners, "make_optimizer", lambda name, model, decay, device: make(name, model, decay, GPU))


def model() -> Any:
    sizes = {name: value for name, value in CONFIG.items() if name != "model_type"}
    return LlamaForCausalLM(LlamaConfig(**sizes)).train()


def peak(learner: Learner, tokens: int = TOKENS) -> int:
    """The highest number of bytes during the second step of two passes."""
    ids = torch.arange(tokens)[None] % CONFIG["vocab_size"]
    batch = Batch({"input_ids": ids, "attention_mask": torch.ones_like(ids)}, ids)
    tracker = MemTracker()
    tracker.track_external(learner.model, learner.optimizer)
    with tracker:
        for _ in range(2):
            for number in range(PASSES):
                tracker.reset_mod_stats()
                learner.begin(number == PASSES - 1)
                learner.backward(learner.losses(batch).sum())
            learner.step([1e-3])
    return tracker.get_tracker_snapshot("peak")[CPU]["Total"]


def estimate(length: int = TOKENS, **how: Any) -> int:
    """What the plan counts, without the context of a GPU."""
    need = training_memory(architecture(CONFIG), TrainingConfig(rows=1, length=length, **how))
    return need.total - need.workspace


@pytest.mark.parametrize("bfloat16", [True, False])
def test_a_worker_alone_needs_what_is_planned(fused, bfloat16: bool) -> None:
    measured = peak(Learner(model(), TrainSpec(""), bfloat16, model))
    planned = estimate(bytes_per_parameter=2 if bfloat16 else 4)
    assert 0.99 * measured <= planned <= 1.15 * measured


@pytest.mark.parametrize("recomputed", [False, True])
@pytest.mark.parametrize("bfloat16", [True, False])
def test_long_rows_need_what_is_planned(fused, bfloat16: bool, recomputed: bool) -> None:
    network = model()
    if recomputed:
        network.gradient_checkpointing_enable({"use_reentrant": False})
    measured = peak(Learner(network, TrainSpec(""), bfloat16, model), LONG)
    size = 2 if bfloat16 else 4
    assert 0.95 * measured <= estimate(LONG, bytes_per_parameter=size, recomputed=recomputed) <= 1.2 * measured


def test_adafactor_needs_what_is_planned() -> None:
    learner = Learner(model(), TrainSpec("", optimizer="adafactor"), False, model)
    measured, planned = peak(learner, LONG), estimate(LONG, bytes_per_parameter=4, moments=0)
    assert 0.95 * measured <= planned <= 1.2 * measured
    states = [value for state in learner.optimizer.state.values() for value in state.values()]
    kept = sum(value.nbytes for value in states if isinstance(value, torch.Tensor))
    assert kept < 0.01 * 4 * sum(each.numel() for each in learner.model.parameters())


@pytest.mark.parametrize("bfloat16", [True, False])
def test_a_shard_needs_what_is_planned(group, fused, bfloat16: bool) -> None:
    measured = peak(FsdpLearner(model(), TrainSpec(""), bfloat16, model, CPU))
    planned = estimate(bytes_per_parameter=2 if bfloat16 else 4, workers=WORKERS, sharded=True)
    assert measured <= planned <= 1.3 * measured


def test_an_optimizer_that_is_not_fused_needs_four_bytes_more(monkeypatch) -> None:
    default = partial(torch.optim.AdamW, lr=0.0, foreach=True)  # torch's choice on GPUs
    monkeypatch.setattr(learners, "make_optimizer", lambda name, model, decay, device: default(model.parameters()))
    network = model()
    more = peak(Learner(network, TrainSpec(""), False, model)) - estimate(bytes_per_parameter=4)
    assert more > 3.5 * sum(each.numel() for each in network.parameters())


def test_copies_of_gradients_are_counted(group) -> None:
    """DDP's buffers for the exchange are its own, which the tracker does not see: it says itself how large they are."""
    learner = DdpLearner(model(), TrainSpec(""), False, model)
    sizes = str(learner.ddp._get_ddp_logging_data()["bucket_sizes"]).split(", ")
    counted = estimate(bytes_per_parameter=4, workers=WORKERS) - estimate(bytes_per_parameter=4)
    assert counted == sum(map(int, sizes)) == BUCKET_BYTES * architecture(CONFIG).parameters
