"""The whole way on a real Ray with the scripted engine: run, run again, interrupt, continue, grow the study."""

from __future__ import annotations

import io
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy
import pytest
from rich.console import Console
from safetensors.numpy import save_file

import bundled
from cluster.connection.session import Session
from pipelines.execution.runner import Summary, run
from pipelines.rows.arrow import from_table
from pipelines.rows.types import InstructionRow, Rejection
from pipelines.store.store import Store
from pipelines.study.file.load import load

STUDY = """\
study: small
seeds:
  - {{name: world, world: {{count: 40}}}}
models:
  small: {{source: small, engine: scripted, cpus: 0.1{options}}}
  large: {{source: large, engine: scripted, cpus: 0.1{options}}}
evolution: {{evolvers: [small], rounds: 3}}
responses: {{teachers: [{teachers}]}}
scoring: {{scorer: small}}
"""


def write(folder: Path, teachers: str = "small", options: str = "") -> Path:
    path = folder / "study.yaml"
    path.write_text(STUDY.format(teachers=teachers, options=options))
    return path


def go(path: Path, store: Store) -> tuple[Summary, str]:
    output = io.StringIO()
    summary = run(load(path), store, None, Console(file=output, width=200))
    return summary, output.getvalue()


def contents(store: Store) -> dict[str, bytes]:
    root = Path(store.root) / "steps"
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.parquet")}


@pytest.fixture(scope="module")
def finished(ray_local: Session, tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Summary, str]:
    """The store of the study after an undisturbed run, with the run's summary and output; only to be read."""
    folder = tmp_path_factory.mktemp("finished")
    store = Store(str(folder / "store"))
    return store, *go(write(folder), store)


@pytest.mark.usefixtures("ray_local")
class TestRun:
    def test_a_study_runs_once_and_only_a_new_column_runs_later(
        self, tmp_path: Path, finished: tuple[Store, Summary, str]
    ) -> None:
        _, first, told = finished
        assert (first.executed, first.reused, first.failures) == (1 + 3 + 4 + 4, 0, [])
        assert "evolve world small r3: 40 in, 40 out" in told

        store = Store(str(shutil.copytree(finished[0].root, tmp_path / "store")))
        again, _ = go(write(tmp_path), store)
        assert (again.executed, again.reused) == (0, 12)

        before = contents(store)
        grown, told = go(write(tmp_path, "small, large"), store)
        assert (grown.executed, grown.reused) == (4 + 4, 12)
        assert all("large" in line for line in re.findall(r"^done (.*?):", told, re.M))
        assert before.items() <= contents(store).items()

    def test_two_stores_end_with_the_same_bytes(self, tmp_path: Path, finished: tuple[Store, Summary, str]) -> None:
        other = Store(str(tmp_path / "other"))
        go(write(tmp_path), other)
        assert contents(finished[0]) == contents(other)

    def test_every_row_has_a_chain_back_to_its_seed(self, finished: tuple[Store, Summary, str]) -> None:
        store = finished[0]
        rows = {
            row.id: row
            for kind in ("seeds", "evolve")
            for key in store.keys(kind)
            for row in from_table(InstructionRow, store.rows(kind, key))
        }
        for row in rows.values():
            parent = rows[row.parent_id] if row.parent_id else None
            assert (parent.round if parent else -1) == row.round - 1
            assert (parent.seed_id if parent else row.id) == row.seed_id

    def test_what_is_eliminated_goes_on_un_evolved_and_is_not_answered(self, tmp_path: Path) -> None:
        store, path = Store(str(tmp_path / "store")), write(tmp_path)
        text = path.read_text().replace("rounds: 3", "rounds: 2, elimination: {judge: large}")
        path.write_text(text.replace("source: large, ", "source: large, options: {style: echo}, "))
        summary, told = go(path, store)  # a judge that repeats the question says both labels
        assert summary.executed == 1 + 2 + 2 + 3 + 3 and summary.failures == []
        for number in (1, 2):
            assert f"eliminate world small r{number}: 40 in, 40 out" in told
            assert f"respond world small r{number} / small greedy: 40 in, 0 out (40 not_evolved)" in told
        seeds, *rounds = (
            {row.seed_id: row for key in store.keys(kind) for row in from_table(InstructionRow, store.rows(kind, key))}
            for kind in ("seeds", "eliminate")
        )
        for rows in rounds:
            assert {row.outcome for row in rows.values()} == {"eliminated:no_verdict"}
            assert {seed: row.instruction for seed, row in rows.items()} == {
                seed: row.instruction for seed, row in seeds.items()
            }

    def test_a_request_that_fails_costs_its_row_and_nothing_else(
        self, tmp_path: Path, finished: tuple[Store, Summary, str]
    ) -> None:
        word = _word_of_some_seeds(finished[0])
        refusing = Store(str(tmp_path / "refusing"))
        go(write(tmp_path, options=f", options: {{refuse: '{word}'}}"), refusing)
        failed = [
            row
            for kind in ("evolve", "respond")
            for key in refusing.keys(kind)
            for row in from_table(Rejection, refusing.rows(kind, key, "rejected"))
        ]
        assert failed and {row.status for row in failed} == {"failed"}
        for kind in ("evolve", "respond", "score"):
            for key in refusing.keys(kind):
                account = refusing.manifest(kind, key).account
                assert account.rows_in == account.rows_out + account.failed + account.rejected


def _word_of_some_seeds(store: Store) -> str:
    """The first words of one seed: no other seed is likely to have them all."""
    (key,) = store.keys("seeds")
    return from_table(InstructionRow, store.rows("seeds", key))[7].instruction.replace("'", "''")


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.faults), (signal.SIGKILL, -9)],
)
def test_an_ended_run_is_continued_and_ends_like_an_undisturbed_one(
    tmp_path: Path, finished: tuple[Store, Summary, str], number: signal.Signals, code: int
) -> None:
    slow = ", runtime: {latency: 4.0}"  # between two answers of a row it is ended, also where the machine is busy
    path, store = write(tmp_path, options=slow), Store(str(tmp_path / "store"))
    command = [sys.executable, "-m", "pipelines.cli", "run", str(path), "--store", str(tmp_path / "store")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        _wait_for_parts(store, process)
        process.send_signal(number)
        output, _ = process.communicate(timeout=150)
    finally:
        process.kill()
    assert process.returncode == code, output
    assert code < 0 or ("run the study again" in output and "Traceback" not in output)
    durable = len(_ids(store))
    assert 0 < durable < 40 * 7
    assert not store.keys("respond")

    go(write(tmp_path), store)
    assert contents(store) == contents(finished[0])


def _wait_for_parts(store: Store, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 90
    while not _ids(store):
        assert process.poll() is None and time.monotonic() < deadline, "nothing became durable"
        time.sleep(0.2)


def _ids(store: Store) -> list[str]:
    return [str(path) for path in Path(store.root).glob("steps/*/*/parts/*.answers")]


def test_a_model_that_can_not_be_loaded_is_one_clear_message(tmp_path: Path, ray_local: Session) -> None:
    folder = Path(shutil.copytree(bundled.path("tiny-1m-chat"), tmp_path / "broken"))
    save_file({"other.weight": numpy.zeros(1)}, folder / "model.safetensors", {"format": "pt"})
    path = write(tmp_path)
    path.write_text(path.read_text().replace("source: small, engine: scripted", "source: ./broken"))
    environment = os.environ | {"RAY_DEDUP_LOGS": "0"}
    command = [sys.executable, "-m", "pipelines.cli", "run", str(path), "--store", str(tmp_path / "store")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, env=environment, check=False)
    assert done.returncode == 1
    assert "cannot be loaded" in done.stderr and "model.embed_tokens.weight" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
