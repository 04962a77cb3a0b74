"""A stream has the same rows with any number of workers, also if some of them are killed."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from pipelines.execution.stream import run as stream_run
from pipelines.execution.stream.dataset import pool_size
from pipelines.store.store import Store
from pipelines.store.studies.stream_stats import load_streams
from tests.faults.nodes import is_one_of
from tests.faults.rig import check_rows, hashes
from tests.scenarios.test_run import go
from tests.support.timing import until

SEEDS = 1900  # eight partitions
STUDY = f"""\
study: workers
seeds:
  - {{name: world, world: {{count: {SEEDS}}}}}
models:
  small: {{source: small, engine: scripted, cpus: 0.1, runtime: {{latency: 0.05, slots: 64}}}}
evolution: {{evolvers: [small], rounds: 1}}
responses: {{teachers: [small], answer_seeds: false}}
scoring: null
"""


def run(folder: Path, workers: int, monkeypatch: pytest.MonkeyPatch) -> Store:
    folder.mkdir()
    (folder / "study.yaml").write_text(STUDY)
    monkeypatch.setattr(stream_run, "pool_size", lambda *given: pool_size(*given[:3], fixed_workers=workers))
    store = Store(str(folder / "store"))
    summary, _ = go(folder / "study.yaml", store)
    assert summary.failures == []
    check_rows(store)
    return store


def workers() -> list[psutil.Process]:
    return [each for each in psutil.Process().children(recursive=True) if is_one_of(each, ("ray::MapWorker",))]


@contextmanager
def killing(folder: Path, times: int) -> Generator[set[int]]:
    """Kill `times` random workers while partitions are open; yield the pids of all workers seen."""
    ended, seen, killed, draw = threading.Event(), set[int](), set[int](), random.Random(7)

    def watch() -> None:
        while not ended.wait(0.02):
            alive = {each.pid for each in workers()} - killed
            seen.update(alive)
            opened = list((folder / "store").rglob("*.answers"))
            if len(killed) < times and len(opened) > 2 * len(killed) and alive:
                chosen = draw.choice(sorted(alive))
                with suppress(ProcessLookupError):
                    os.kill(chosen, signal.SIGKILL)
                killed.add(chosen)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()
    assert len(killed) == times, "the stream ended before"


@pytest.mark.usefixtures("ray_local")
@pytest.mark.timeout(580)
def test_the_rows_are_the_same_with_1_2_and_7_workers_some_of_which_are_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with killing(tmp_path / "one", 0) as alone:
        one = run(tmp_path / "one", 1, monkeypatch)
    assert len(alone) == 1
    with killing(tmp_path / "two", 3) as seen:
        assert hashes(run(tmp_path / "two", 2, monkeypatch)) == hashes(one)
    assert len(seen) > 2
    with killing(tmp_path / "seven", 1) as seen:
        assert hashes(run(tmp_path / "seven", 7, monkeypatch)) == hashes(one)
    assert len(seen) >= 7
    until(lambda: not workers())
    (stats,) = load_streams(one, [key for kind in ("evolve", "respond") for key in one.keys(kind)])
    operator = stats.operators[-1]
    assert "evolve" in operator.operator and "respond" in operator.operator
    assert operator.rows == 2 * SEEDS
