"""Whole studies while their engines come and go: phases, poisoned rows, killed replicas."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import psutil
import pytest

from pipelines.rows import InstructionRow, Rejection, from_table
from pipelines.store.store import Store
from pipelines.study.load import load
from tests.pipelines.test_run import contents, go

pytestmark = pytest.mark.usefixtures("ray_local")
STUDY = """\
study: engines
seeds:
  - {{name: world, world: {{count: {count}}}}}
models:
  small: {{source: small, engine: scripted, cpus: {cpus}{small}}}
  large: {{source: large, engine: scripted, cpus: {cpus}}}
  judge: {{source: judge, engine: scripted, cpus: {cpus}}}
evolution: {{evolvers: [{evolvers}], rounds: 2}}
responses: {{teachers: [{teachers}], answer_seeds: false}}
scoring: {{scorer: judge}}
"""
ROW_WISE = ("evolve", "respond", "score")


def write(folder: Path, count: int = 40, cpus: float = 0.1, small: str = "", evolvers: str = "small, large") -> Path:
    path = folder / "study.yaml"
    path.write_text(STUDY.format(count=count, cpus=cpus, small=small, evolvers=evolvers, teachers=evolvers))
    return path


def accounts(store: Store) -> dict[str, tuple[int, int, int]]:
    found = [store.manifest(kind, key) for kind in ROW_WISE for key in store.keys(kind)]
    return {one.label: (one.account.rows_in, one.account.rows_out, one.account.failed) for one in found}


def test_models_that_do_not_fit_at_once_take_turns_and_give_the_same_rows(tmp_path: Path) -> None:
    together, in_turns = Store(str(tmp_path / "together")), Store(str(tmp_path / "turns"))
    _, told = go(write(tmp_path), together)
    assert "phases" not in told
    _, told = go(write(tmp_path, cpus=2), in_turns)
    assert "2 phases, because not all models fit at once: 3 loads" in told
    _, told = go(write(tmp_path, cpus=3), Store(str(tmp_path / "one-by-one")))
    assert "4 phases, because not all models fit at once: 4 loads" in told
    assert contents(together) == contents(in_turns) == contents(Store(str(tmp_path / "one-by-one")))


def test_the_row_that_kills_its_engine_is_set_aside_and_no_other(tmp_path: Path) -> None:
    clean, poisoned = Store(str(tmp_path / "clean")), Store(str(tmp_path / "poisoned"))
    go(write(tmp_path, count=12, evolvers="small"), clean)
    (key,) = clean.keys("seeds")
    victim = from_table(InstructionRow, clean.rows("seeds", key))[5]
    path = write(tmp_path, count=12, small=f", runtime: {{poison: '{victim.instruction}'}}", evolvers="small")
    _, told = go(path, poisoned)
    assert "died and starts again" in told
    failed = [
        row
        for kind in ROW_WISE
        for key in poisoned.keys(kind)
        for row in from_table(Rejection, poisoned.rows(kind, key, "rejected"))
    ]
    assert failed and {(row.reason, row.index) for row in failed} == {("poisoned", victim.index)}
    assert all(into == out + lost for into, out, lost in accounts(poisoned).values())
    assert accounts(poisoned)["evolve world small r1"] == (12, 11, 1)


def test_killed_replicas_change_nothing_in_the_result(tmp_path: Path) -> None:
    calm, stormy = Store(str(tmp_path / "calm")), Store(str(tmp_path / "stormy"))
    slow = ", runtime: {latency: 0.3}, in_flight: 16"
    go(write(tmp_path, small=slow), calm)
    ended = threading.Event()
    killer = threading.Thread(target=_kill_replicas, args=(ended,))
    killer.start()
    try:
        _, told = go(write(tmp_path, small=slow), stormy)
    finally:
        ended.set()
        killer.join()
    assert "died and starts again" in told
    assert contents(calm) == contents(stormy)


def _kill_replicas(ended: threading.Event) -> None:
    """Kill a replica every second and a half."""
    while not ended.wait(1.5):
        children = psutil.Process().children(recursive=True)
        pids = [child.pid for child in children if child.name().startswith("ray::Replica")]
        for pid in pids[:1]:
            os.kill(pid, signal.SIGKILL)


def test_a_study_file_may_name_endpoints_and_scaling(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    text = STUDY.format(
        count=3, cpus=0.1, evolvers="small", teachers="small", small=", max_replicas: 3, in_flight: 8, shared: true"
    )
    path.write_text(text.replace("source: judge, engine: scripted", "source: judge, engine: http"))
    models = load(path).study.models
    assert (models["small"].max_replicas, models["small"].in_flight, models["small"].shared) == (3, 8, True)
    assert models["judge"].engine == "http"
