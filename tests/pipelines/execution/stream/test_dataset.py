"""A stream as a dataset: what its operator reads and returns, how many workers it has, and how it fails."""

from __future__ import annotations

import asyncio
import traceback
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pytest

from actors.engine import EngineLost, EngineSpec
from actors.engines.scripted_engine import ScriptedEngine
from pipelines.execution.runtime.retry import root_cause
from pipelines.execution.stream.dataset import MapPartitions, PartitionSource, operator_name, pool_size, raise_failure
from pipelines.execution.stream.progress_actor import RemoteProgress
from pipelines.execution.stream.tree import StepNode, TreeRoot
from pipelines.store.store import Store
from pipelines.study.plugins.shipping import Shipped
from pipelines.study.spec.study import Study
from tests.support.offline import run_offline
from tests.support.studies import scripted_study


class Silent:
    def add(self, report: object) -> None:
        """Nobody looks."""

    def register(self) -> None:
        """There is no actor."""


class Odd(Exception):
    """No pickle brings it back: it wants two words."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(f"{one} {other}")


def study() -> Study:
    return scripted_study(
        evolution={"evolvers": ["small"], "rounds": 1}, responses={"teachers": ["small"]}, scoring=None
    )


def walked(tmp_path: Path, raises: Exception | None) -> pa.Table:
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

    (read,) = PartitionSource(store, [root]).get_read_tasks(1)
    (block,) = read()
    mapper = MapPartitions(store, Shipped([root]), cast("RemoteProgress", Silent()))
    return asyncio.run(mapper.map_block(cast("pa.Table", block)))


def test_a_lost_engine_is_raised_as_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(EngineLost, match="the engine of model small is lost: it died"):
        raise_failure(walked(tmp_path, EngineLost("small", "it died")))


def test_any_other_failure_comes_with_the_place_where_it_happened(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the plain truth") as caught:
        raise_failure(walked(tmp_path, ValueError("the plain truth")))
    assert "in __call__" in "".join(traceback.format_exception(caught.value))


def test_what_no_pickle_brings_back_is_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="Odd: two words"):
        raise_failure(walked(tmp_path, Odd("two", "words")))


def test_a_worker_that_did_its_work_reports_no_failure(tmp_path: Path) -> None:
    block = walked(tmp_path, None)
    raise_failure(block)
    assert block["step"].to_pylist() == ["f" * 32] * 20


def test_layers_are_taken_off() -> None:
    lost = EngineLost("small", "it died")
    try:
        raise RuntimeError("carried") from ExceptionGroup("several", [lost])
    except RuntimeError as error:
        assert root_cause(error) is lost


@pytest.mark.parametrize(
    ("nodes", "partitions", "open_rows", "workers", "open_partitions"),
    [
        (1, 4000, 64, 1, 4),  # one machine has one worker
        (9, 4000, 384, 4, 4),
        (9, 5, 384, 1, 5),  # too few rows for more
        (9, 40, 384, 3, 4),
        (50, 4000, 102_400, 25, 19),  # 400 rows of 256 partitions, shared by the workers
    ],
)
def test_the_workers_grow_with_the_cluster_and_share_what_is_open(
    nodes: int, partitions: int, open_rows: int, workers: int, open_partitions: int
) -> None:
    pool = pool_size(nodes, partitions, open_rows)
    assert (pool.min_workers, pool.max_workers, pool.open_partitions) == (1, workers, open_partitions)


def test_the_operator_has_the_names_of_its_steps() -> None:
    steps = [("evolve", "evolve a / round 1"), ("respond", "respond a / b"), ("respond", "respond a / c")]
    assert operator_name(steps) == "evolve a / round 1, respond a / b, respond a / c"
    assert operator_name([*steps, ("score", "score a")]) == "evolve x 1, respond x 2, score x 1"
