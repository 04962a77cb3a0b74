"""A replica loads a model on the devices that it was given, or says why it cannot."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from typing import Any

import pytest

import bundled
from actors.engine import EngineSpec, LoadError
from actors.matrix_products import MODE, STRICT
from actors.serving import replica
from actors.serving.replica import Replica
from pipelines.study.inputs.models import engine_spec
from pipelines.study.spec.common.model import Model

TINY = "bundled:tiny-1m-chat"


class Stub:
    """An engine that is loaded."""

    features = frozenset[str]()


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[tuple[tuple[str, ...], float]]:
    """The devices and the free memory that each load waits for."""
    found: list[tuple[tuple[str, ...], float]] = []
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # both are restored afterwards
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(replica, "wait_until_free", lambda gpus, fraction, _: found.append((gpus, fraction)))
    monkeypatch.setattr(replica, "unusable_gpus", lambda: "")
    monkeypatch.setattr(replica, "create", lambda _: Stub())
    return found


def load(model: Model, share: float) -> Any:
    return asyncio.run(Replica(1, ("3",), share).load(engine_spec(model, Path())))


@pytest.mark.parametrize(
    ("gpus", "runtime", "told", "needed"),
    [
        (0.5, {}, 0.45, 0.45),
        (0.25, {}, 0.225, 0.225),
        (0.5, {"gpu_memory_utilization": 0.8}, 0.8, 0.8),
        (1, {}, None, 0.9),
        (1, {"gpu_memory_utilization": 0.5}, 0.5, 0.5),
    ],
)
def test_an_engine_takes_the_share_of_the_gpu_that_is_waited_for(
    waited: list[Any], gpus: float, runtime: dict[str, Any], told: float | None, needed: float
) -> None:
    model = Model(source=TINY, gpus=gpus, runtime=runtime)
    assert dict(engine_spec(model, Path()).options).get("gpu_memory_utilization") == told
    load(model, gpus)
    assert waited == [(("3",), pytest.approx(needed))]


def test_other_engines_wait_for_their_share(waited: list[Any]) -> None:
    load(Model(source=TINY, engine="transformers", gpus=0.5), 0.5)
    assert waited == [(("3",), pytest.approx(0.45))]


def test_gpus_that_cannot_be_used_are_an_error(waited: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica, "unusable_gpus", lambda: "the driver is too old")
    answer = load(Model(source=TINY, gpus=1), 1)
    assert isinstance(answer, LoadError) and answer.detail == "the driver is too old"
    on_cpu = asyncio.run(Replica(1, (), 0).load(EngineSpec("transformers", str(bundled.path("tiny-1m-chat")))))
    scripted = asyncio.run(Replica(1, ("0",), 1).load(EngineSpec("scripted", "x")))
    assert not isinstance(on_cpu, LoadError) and not isinstance(scripted, LoadError)


@pytest.mark.parametrize(("share", "locked"), [(0.5, ("3",)), (1.0, ())])
def test_replicas_that_share_a_gpu_load_one_after_another(
    waited: list[Any], monkeypatch: pytest.MonkeyPatch, share: float, locked: tuple[str, ...]
) -> None:
    entered: list[tuple[str, ...]] = []
    real = replica.sole_use

    def sole_use(gpus: tuple[str, ...]) -> Any:
        entered.append(gpus)
        return real(gpus)

    monkeypatch.setattr(replica, "sole_use", sole_use)
    load(Model(source=TINY, gpus=share), share)
    assert entered == [locked]


def test_a_replica_computes_in_mkls_strict_mode(waited: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica, "strict_mode", lambda: STRICT)
    monkeypatch.delenv(MODE, raising=False)
    load(Model(source=TINY), 0)
    assert os.environ[MODE] == STRICT[MODE]
    monkeypatch.setenv(MODE, "the user's")
    load(Model(source=TINY), 0)
    assert os.environ[MODE] == "the user's"


def test_a_model_is_loaded_in_a_thread_that_ends(waited, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = list[threading.Thread]()

    def create(_: EngineSpec) -> Stub:
        threads.append(threading.current_thread())
        return Stub()

    async def scenario() -> None:
        await Replica(1, ("3",), 1).load(engine_spec(Model(source=TINY), Path()))
        threads[0].join(60)
        assert not threads[0].is_alive()

    monkeypatch.setattr(replica, "create", create)
    asyncio.run(scenario())
