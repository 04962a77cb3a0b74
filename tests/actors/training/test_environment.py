"""What the processes of a training see and use: no GPUs but their own, and one thread for all trainings."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
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


class IdleHost(TrainHost):
    """A host whose trainings return their thread."""

    def _fit(self, *_: object, **__: object) -> Any:
        time.sleep(0.1)  # with several threads, the next training would begin in another one
        return threading.get_ident()


def test_a_host_has_one_thread_for_all_trainings(ray_local, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "TrainHost", IdleHost)
    idle = host._new_host(0)
    job = SimpleNamespace(staging_dir="")
    threads = [idle.train_in_process.remote(job) for _ in range(4)]
    assert ray.get(idle.progress.remote()) is None  # answered meanwhile
    assert len({*ray.get(threads)}) == 1
    ray.kill(idle)
