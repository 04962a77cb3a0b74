"""Processes that run trainings: warm actors for small ones, and the drivers of Ray Train's worker groups."""

from __future__ import annotations

import gc
import importlib
import logging
import os
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from actors.training.spec import TrainError, TrainJob, TrainOutcome, TrainPlacement, TrainProgress
from cluster.errors import error_line
from cluster.resources.packing import Bundle

if TYPE_CHECKING:
    from ray.actor import ActorHandle
    from ray.train import RunConfig

CHECKPOINTS_TO_KEEP = 2  # checkpoints of a worker group
MAX_LOST_WORKERS = 3  # lost workers per training
SLOW_STEP_SECONDS = 24 * 3600  # how long a worker may wait for the others in a step; one that has crashed is noticed
RAY_TRAIN_ENVIRONMENT = {
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",  # it also delays the end of a finished training
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "3600",  # limits the wait for free resources
    "RAY_TRAIN_WORKER_HEALTH_CHECK_TIMEOUT_S": "3600",  # a busy worker may answer late
}
# Ray leaves all GPUs of the node visible to a process without GPUs, and FSDP, DeepSpeed and checkpoints would use them
WITHOUT_GPUS = {"CUDA_VISIBLE_DEVICES": ""}
WARM_TTL_SECONDS = 10.0  # how long an idle host keeps its CPUs
# The trainings of a host run in one thread, see `actors.compute_threads`; other calls are answered meanwhile.
TRAINING = "training"


class TrainHost:
    """An actor that runs one training at a time, and reports its progress.

    Importing torch and transformers takes longer than a small training, so a host is reused for many trainings.
    """

    def __init__(self) -> None:
        logging.getLogger("ray.train").setLevel(logging.ERROR)
        self._progress: TrainProgress | None = None
        self._workers: list[str] = []

    @ray.method(concurrency_group=TRAINING)
    def begin(self, in_process: bool) -> tuple[str, int]:
        """Reset the progress, and import the libraries if the next training runs `in_process`.

        Returns:
            The node id and the process id of this actor.
        """
        if in_process:
            os.environ |= WITHOUT_GPUS  # before torch is imported
            _import_once()
        self._progress, self._workers = None, []
        return ray.get_runtime_context().get_node_id(), os.getpid()

    def progress(self) -> TrainProgress | None:
        """The last step reported by the training, or None before its first step."""
        return self._progress

    def record(self, step: int, steps: int, loss: float, worker: str = "") -> None:
        """Record a report of the training's worker 0.

        A new worker replaces the one before. The reports of a worker can arrive in any order.
        """
        if worker not in self._workers:
            self._workers.append(worker)
            self._progress = None
        if worker == self._workers[-1] and (self._progress is None or step > self._progress.step):
            self._progress = TrainProgress(step, steps, loss)

    @ray.method(concurrency_group=TRAINING)
    def train_in_process(self, job: TrainJob) -> list[TrainOutcome]:
        """Train in this process (Ray Train's local mode). Checkpoints are in the staging folder and survive a crash."""
        from ray.train import ScalingConfig

        scratch = Path(job.staging_dir) / "checkpoints"
        return self._fit(job, scratch, self.record, scaling_config=ScalingConfig(num_workers=0))

    @ray.method(concurrency_group=TRAINING)
    def train_distributed(self, job: TrainJob) -> list[TrainOutcome]:
        """Train in a group of worker processes. Ray Train keeps the checkpoints and restarts lost workers.

        Raises:
            TrainError: If the training fails permanently.
        """
        from ray.train import ScalingConfig
        from ray.train.torch import TorchConfig
        from ray.train.v2.api.exceptions import TrainingFailedError

        os.environ |= RAY_TRAIN_ENVIRONMENT
        placement = job.placement
        scaling = ScalingConfig(
            num_workers=placement.workers,
            use_gpu=placement.gpus > 0,
            resources_per_worker=Bundle(placement.cpus, placement.gpus, placement.kind).resources(),
        )
        run = run_config(placement, job.staging_dir)
        report = partial(_report_to_host, ray.get_runtime_context().current_actor)
        try:
            slow = TorchConfig(timeout_s=SLOW_STEP_SECONDS)
            outcomes = self._fit(job, None, report, scaling_config=scaling, run_config=run, torch_config=slow)
        except TrainingFailedError as error:
            failed: dict[int, Exception] = getattr(error, "worker_failures", {})
            cause = next(iter(failed.values()), error)  # the first worker's; the text of `error` is its traceback
            raise TrainError(error_line(cause), self._restarts()) from error
        return [replace(outcome, restarts=self._restarts()) for outcome in outcomes]

    def _restarts(self) -> int:
        return max(0, len(self._workers) - 1)

    def _fit(self, job: TrainJob, scratch: Path | None, report: Any, **config: Any) -> list[TrainOutcome]:
        from ray.train.torch import TorchTrainer

        loop_config = {"job": job, "scratch": scratch, "report": report}
        outcome = TorchTrainer(_train_loop, train_loop_config=loop_config, **config).fit().return_value
        assert isinstance(outcome, list)
        return outcome


def run_config(placement: TrainPlacement, staging_dir: str) -> RunConfig:
    """Return Ray Train's settings of a worker group."""
    from ray.train import CheckpointConfig, FailureConfig, RunConfig
    from ray.train.v2.api.config import LoggingConfig

    filesystem, path = _storage(staging_dir)
    return RunConfig(
        name=f"{placement.sharding}-{placement.workers}",  # a retry with another layout starts from scratch
        storage_path=path,
        storage_filesystem=filesystem,
        failure_config=FailureConfig(max_failures=MAX_LOST_WORKERS),
        checkpoint_config=CheckpointConfig(num_to_keep=CHECKPOINTS_TO_KEEP),
        logging_config=LoggingConfig(log_level="ERROR"),
        worker_runtime_env={} if placement.gpus else {"env_vars": WITHOUT_GPUS},
    )


def _storage(url: str) -> tuple[Any, str]:
    """Return the store's file system for Ray Train, with fsspec's endpoints and credentials, and the path on it."""
    import pyarrow.fs as pafs
    from fsspec.core import url_to_fs

    filesystem, path = url_to_fs(url)
    if "file" in filesystem.protocol:
        return None, path
    return pafs.PyFileSystem(pafs.FSSpecHandler(filesystem)), path


@cache
def _import_once() -> None:
    importlib.import_module("actors.training.loop")
    gc.freeze()  # transformers collects garbage in every training: 0.3 s if that includes the libraries' objects


def _train_loop(config: dict[str, Any]) -> list[TrainOutcome]:
    from actors.training.loop import train_worker

    return train_worker(**config)


def _report_to_host(host: ActorHandle[Any], step: int, steps: int, loss: float) -> None:
    host.record.remote(step, steps, loss, ray.get_runtime_context().get_worker_id())


@dataclass(frozen=True, slots=True, eq=False)
class _WarmHost:
    """An idle host. Each idle period has its own object, so that an old timer never ends a later period."""

    cluster: str
    cpus: float
    host: ActorHandle[Any]


_warm_hosts: list[_WarmHost] = []
_warm_hosts_lock = threading.Lock()  # trainings start from several threads


@contextmanager
def acquire_host(cpus: float) -> Generator[ActorHandle[Any]]:
    """Yield a host with `cpus` CPUs for the caller alone.

    It stays warm for `WARM_TTL_SECONDS` afterwards, unless the body raises. In that case, the caller must kill it.
    """
    cluster = ray.get_runtime_context().get_node_id()
    host = _checkout_host(cluster, cpus) or _new_host(cpus)
    yield host
    warm = _WarmHost(cluster, cpus, host)
    with _warm_hosts_lock:
        _warm_hosts.append(warm)
    timer = threading.Timer(WARM_TTL_SECONDS, _evict, (warm,))
    timer.daemon = True
    timer.start()


def _new_host(cpus: float) -> ActorHandle[Any]:
    options: dict[str, Any] = {"num_cpus": cpus, "concurrency_groups": {TRAINING: 1}}
    if not cpus:  # Ray Train's controller never moves: on a node that is removed, it would leave its group behind
        driver_node = ray.get_runtime_context().get_node_id()
        options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(driver_node, soft=False)
    actor: Any = ray.remote(**options)(TrainHost)
    return actor.remote()


def _checkout_host(cluster: str, cpus: float) -> ActorHandle[Any] | None:
    with _warm_hosts_lock:
        for warm in _warm_hosts:
            if (warm.cluster, warm.cpus) == (cluster, cpus):
                _warm_hosts.remove(warm)
                return warm.host
    return None


def _evict(warm: _WarmHost) -> None:
    with _warm_hosts_lock:
        if warm not in _warm_hosts:
            return
        _warm_hosts.remove(warm)
    if ray.is_initialized() and ray.get_runtime_context().get_node_id() == warm.cluster:
        ray.kill(warm.host)
