"""A pool of engines and a worker group on a local Ray: each has the devices that it asks for."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import torch

import bundled
from actors.engine import EngineSpec
from actors.serving.pool import Pool
from actors.serving.spec import PoolSpec, ReplicaResources
from actors.training.spec import Sharding, TrainPlacement, TrainSpec
from actors.training.trainer import train
from benchmarks.gpu_check.engines import MODEL, REPLIES, chat_engine
from benchmarks.gpu_check.report import Recorder
from benchmarks.gpu_check.support import ask, ask_async, on_gpu, texts
from cluster.connection.session import connect

PAIRS = [(f"say the word {n}", f"{n} {n}") for n in range(16)]
READY_SECONDS, LIMIT = 120, 1e-3
WORKER_CPUS = 0.5


def run(record: Recorder) -> None:
    """Ask a pool for replies, and train in groups with and without shards."""
    expected = _alone()
    with connect(None, cpus=2):
        _pool(record, expected)
        _groups(record)


def _alone() -> list[str]:
    """Return the replies of an engine in this process, which then frees the GPU."""
    engine = chat_engine()
    found = texts(ask(engine, "generate", REPLIES))
    engine.close()
    return found


def _pool(record: Recorder, expected: list[str]) -> None:
    spec = EngineSpec("transformers", MODEL, dtype="float32", max_length=1024)
    pool = Pool(PoolSpec(spec, "check", ReplicaResources(WORKER_CPUS, 1 if on_gpu() else 0)))
    try:
        pool.wait_until_ready(READY_SECONDS)
        found = texts(asyncio.run(ask_async(pool.client(), "generate", REPLIES)))  # pyright: ignore[reportArgumentType]
        record.check("a pool replies as an engine alone", found == expected, replies=len(found))
    finally:
        pool.close()


def _groups(record: Recorder) -> None:
    """Train the same rows in one worker, and in a group with each sharding that does not need DeepSpeed."""
    gpus = torch.cuda.device_count()
    workers = min(2, gpus) if gpus else 2
    spec = TrainSpec(
        str(bundled.path("tiny-4m-base")), dtype="float32", epochs=1, batch_size=8, micro_batch_size=2, max_length=128
    )
    groups: list[tuple[int, Sharding]] = [(1, "none"), (workers, "none"), (workers, "fsdp")]
    last: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for number, (count, sharding) in enumerate(groups):
            placement = TrainPlacement(count, WORKER_CPUS, 1 if gpus else 0, sharding)
            outcome = train(spec, PAIRS, Path(folder) / str(number), placement)
            last.append(outcome.losses[-1][1])
    spread = max(last) - min(last)
    name = f"{workers} worker(s) with and without shards train as one"
    record.check(name, spread < LIMIT, losses=[round(loss, 5) for loss in last], spread=spread, limit=LIMIT)
