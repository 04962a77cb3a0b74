"""What ends a stream comes out of its worker whole, and is raised where the stream was started."""

from __future__ import annotations

import asyncio
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actors.engine import EngineLost, EngineSpec
from actors.engines.scripted_engine import ScriptedEngine
from pipelines.execution.runtime.retry import root_cause
from pipelines.execution.stream.failure_transport import ReportsFailure, raise_transported
from pipelines.execution.stream.tree import StepNode, TreeRoot
from pipelines.store.store import Store
from pipelines.study.spec.study import Study
from tests.support.offline import run_offline
from tests.support.studies import scripted_study


class Silent:
    def add(self, progress: object) -> None:
        """Nobody looks."""


class Odd(Exception):
    """No pickle brings it back: it wants two words."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(f"{one} {other}")


def study() -> Study:
    return scripted_study(
        evolution={"evolvers": ["small"], "rounds": 1}, responses={"teachers": ["small"]}, scoring=None
    )


def walked(tmp_path: Path, raises: Exception | None) -> dict[str, Any]:
    """What a worker tells whose step raises."""
    store = Store(str(tmp_path))
    grid = run_offline(study(), store, {"small": ScriptedEngine(EngineSpec("scripted", "small"))})
    (seeds,) = (step for step in grid.steps.values() if step.kind == "seeds")

    class Does:
        async def __call__(self, row: Any, new_id: str) -> Any:
            if raises:
                raise raises
            return row

    root = TreeRoot("seeds", seeds.key, (StepNode("seeds", "f" * 32, Does(), ()),))

    async def tell() -> dict[str, Any]:
        (block,) = [block async for block in ReportsFailure(store, [root], Silent())({"unit": np.array([0])})]
        return block

    return asyncio.run(tell())


def test_a_lost_engine_is_raised_as_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(EngineLost, match="the engine of model small is lost: it died"):
        raise_transported(walked(tmp_path, EngineLost("small", "it died")))


def test_any_other_failure_comes_with_the_place_where_it_happened(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the plain truth") as caught:
        raise_transported(walked(tmp_path, ValueError("the plain truth")))
    assert "in __call__" in "".join(traceback.format_exception(caught.value))


def test_what_no_pickle_brings_back_is_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="Odd: two words"):
        raise_transported(walked(tmp_path, Odd("two", "words")))


def test_a_worker_that_did_its_work_reports_no_failure(tmp_path: Path) -> None:
    block = walked(tmp_path, None)
    raise_transported(block)
    assert block["unit"].tolist() == [0]


def test_layers_are_taken_off() -> None:
    lost = EngineLost("small", "it died")
    try:
        raise RuntimeError("carried") from ExceptionGroup("several", [lost])
    except RuntimeError as error:
        assert root_cause(error) is lost
