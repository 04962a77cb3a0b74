"""Which GPUs the processes of a training see: without GPUs of their own none, although Ray hides none from them."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from ray.train.v2._internal.execution.worker_group.worker_group import WorkerGroup

from actors.training import host
from actors.training.host import TrainHost, run_config
from actors.training.spec import Sharding, TrainPlacement


@pytest.mark.parametrize("sharding", ["none", "fsdp", "zero3"])
@pytest.mark.parametrize(("gpus", "seen"), [(0, ""), (1, "0,1")])
def test_workers_see_gpus_only_if_they_have_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sharding: Sharding, gpus: float, seen: str
) -> None:
    placement = TrainPlacement(workers=2, gpus=gpus, sharding=sharding)
    started_with = WorkerGroup._get_worker_runtime_env(run_config(placement, str(tmp_path)).worker_runtime_env or {})
    assert (os.environ | {"CUDA_VISIBLE_DEVICES": "0,1"} | started_with["env_vars"])["CUDA_VISIBLE_DEVICES"] == seen


def test_a_training_in_a_process_of_its_own_hides_all_gpus_before_torch_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = list[str]()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setattr(host, "_import_once", lambda: seen.append(os.environ["CUDA_VISIBLE_DEVICES"]))
    monkeypatch.setattr(host.ray, "get_runtime_context", lambda: SimpleNamespace(get_node_id=lambda: "node"))
    TrainHost().begin(in_process=False)  # it only drives a group
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1"
    TrainHost().begin(in_process=True)
    assert seen == [""]
