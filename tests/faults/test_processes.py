"""Workers, engines and their network fail during a study: the run continues, with the rows of an undisturbed one."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from actors.sandbox.protocol.job import SandboxError
from actors.sandbox.sandbox import Sandbox
from pipelines.rows.arrow import from_table
from pipelines.rows.types import InstructionRow, Rejection
from pipelines.store.store import Store
from tests.actors.conftest import serving
from tests.conftest import SEEDS
from tests.faults.nodes import is_one_of
from tests.faults.proxy import Proxy
from tests.faults.rig import STUDY, finished, rejections, undisturbed
from tests.scenarios.test_run import go
from tests.scenarios.test_run_autoif import write

pytestmark = [pytest.mark.usefixtures("ray_local"), pytest.mark.timeout(580)]
SMALL = STUDY.replace("count: 300", "count: 60").replace("latency: 0.01", "latency: 0.3, slots: 16")


def run(folder: Path, text: str) -> tuple[Store, str]:
    folder.mkdir(exist_ok=True)
    path = folder / "faulty.yaml"
    path.write_text(text)
    store = Store(str(folder / "store"))
    summary, told = go(path, store)
    assert summary.failures == []
    return store, told


def ours(*names: str) -> list[psutil.Process]:
    """Return child processes of this one whose command starts with one of `names`."""
    return [one for one in psutil.Process().children(recursive=True) if is_one_of(one, names)]


@contextmanager
def striking(folder: Path, answers: int, strike: Callable[[], bool]) -> Iterator[None]:
    """Inject a fault once, after `answers` durable answers; `strike` returns whether it had an effect."""
    ended, hit = threading.Event(), threading.Event()

    def watch() -> None:
        while not ended.wait(0.02) and not hit.is_set():
            paths = (folder / "store").rglob("*.answers")
            if sum(path.read_bytes().count(b"\n") for path in paths) >= answers and strike():
                hit.set()

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    assert hit.is_set(), "nothing was there to be struck"


def signalled(number: int, *names: str) -> Callable[[], bool]:
    """Return a fault: send a signal to a child process, if there is one."""

    def strike() -> bool:
        for process in ours(*names)[:1]:
            os.kill(process.pid, number)
            return True
        return False

    return strike


@pytest.mark.case(1)
def test_a_killed_worker_of_the_stream_starts_again_and_asks_for_what_is_missing(
    tmp_path: Path, chance: random.Random
) -> None:
    with striking(tmp_path, chance.randint(1, 300), signalled(signal.SIGKILL, "ray::MapWorker", "ray::_MapWorker")):
        store, _ = run(tmp_path, SMALL)
    assert finished(store) == undisturbed(SMALL)


@pytest.mark.faults
@pytest.mark.case(6)
def test_a_stopped_engine_is_started_again_by_the_watchdog(tmp_path: Path, chance: random.Random) -> None:
    started = time.monotonic()
    with striking(tmp_path, chance.randint(1, 300), signalled(signal.SIGSTOP, "ray::Replica")):
        store, told = run(tmp_path, SMALL)
    assert "answered no heartbeat for 30 s" in told
    assert finished(store) == undisturbed(SMALL)
    assert time.monotonic() - started < 240


@pytest.mark.case(7)
def test_an_engine_that_dies_at_a_row_starts_again(tmp_path: Path, chance: random.Random) -> None:
    with striking(tmp_path, chance.randint(1, 300), signalled(signal.SIGKILL, "ray::Replica")):
        store, told = run(tmp_path, SMALL)
    assert "crashed; restarting" in told
    assert finished(store) == undisturbed(SMALL)


@pytest.mark.faults
@pytest.mark.case(8)
def test_the_row_that_kills_its_engine_is_set_aside_and_no_other(tmp_path: Path, chance: random.Random) -> None:
    text = SMALL.replace("count: 60", "count: 12").replace("latency: 0.3, slots: 16", "latency: 0.01")
    clean, _ = run(tmp_path / "clean", text)
    victim = chance.choice(seeds(clean))
    text = text.replace("latency: 0.01", f"latency: 0.01, poison: '{quoted(victim)}'", 1)
    store, told = run(tmp_path / "poisoned", text)
    assert "crashed; restarting" in told
    failed = rejections(store, "evolve", "respond", "score")
    assert failed and {(row.status, row.reason, row.index) for row in failed} == {("failed", "poisoned", victim.index)}
    assert others(store, victim.index) == others(clean, victim.index)


@pytest.mark.faults
@pytest.mark.case(9)
def test_an_over_long_prompt_is_a_row_with_its_error_and_no_other_is_touched(
    tmp_path: Path, chance: random.Random
) -> None:
    text = SMALL.replace("latency: 0.3, slots: 16", "latency: 0.01").replace(
        "world: {count: 60}", "file: ../seeds.jsonl"
    )
    long = chance.randrange(12)
    words = [["word"] * (5000 if number == long else 5) + [str(number)] for number in range(12)]
    rows = [json.dumps({"instruction": f"Say {' '.join(said)}."}) for said in words]
    (tmp_path / "seeds.jsonl").write_text("\n".join(rows))
    roomy, _ = run(tmp_path / "roomy", text.replace("cpus: 0.1", "cpus: 0.1, max_length: 9000"))
    store, _ = run(tmp_path / "short", text.replace("cpus: 0.1", "cpus: 0.1, max_length: 2000"))
    failed = rejections(store, "evolve", "respond", "score")
    assert {(row.status, row.reason, row.index) for row in failed} == {("failed", "too_long", long)}
    assert others(store, long) == others(roomy, long)


@pytest.mark.case(23)
def test_a_network_that_is_cut_for_a_while_costs_no_row(tmp_path: Path, chance: random.Random) -> None:
    with serving("--latency", "0.05") as url:
        proxy = Proxy(url)
        model = "{source: stub, engine: http, cpus: 0.1, runtime: {url: '%s', in_flight: 16}}"
        text = STUDY.replace("count: 300", "count: 60")
        text = "\n".join(
            f"{line.partition('{')[0]}{model % proxy.url}" if "engine: scripted" in line else line
            for line in text.splitlines()
        )
        try:
            calm, _ = run(tmp_path / "calm", text)
            folder = tmp_path / "cut"

            def strike() -> bool:
                proxy.cut()
                threading.Timer(10.0 if SEEDS > 1 else 2.0, proxy.mend).start()
                return True

            with striking(folder, chance.randint(1, 300), strike):
                store, _ = run(folder, text)
            assert finished(store) == finished(calm)
        finally:
            proxy.end()


def seeds(store: Store) -> list[InstructionRow]:
    (key,) = store.keys("seeds")
    return from_table(InstructionRow, store.rows("seeds", key))


def quoted(row: InstructionRow) -> str:
    return row.instruction.replace("'", "''")


def others(store: Store, victim: int) -> set[tuple[str, str, int]]:
    """Return the location of all rows that are not derived from one seed."""
    steps = [store.manifest(kind, key) for kind in ("evolve", "respond", "score") for key in store.keys(kind)]
    return {
        (step.kind, step.label, index)
        for step in steps
        for index in store.rows(step.kind, step.key, columns=["index"]).column("index").to_pylist()
        if index != victim
    }


def sandboxed() -> bool:
    try:
        Sandbox().close()
    except SandboxError:
        return False
    return True


@pytest.mark.faults
@pytest.mark.case(24)
def test_killed_sandboxes_are_no_wrong_answers(tmp_path: Path, chance: random.Random) -> None:
    if not sandboxed():
        pytest.skip("no sandbox on this machine")
    for name in ("calm", "struck"):
        (tmp_path / name).mkdir()
        text = write(tmp_path / name).read_text()
    calm, _ = run(tmp_path / "calm", text)
    ended = threading.Event()

    def kill() -> None:
        while not ended.wait(chance.uniform(0.5, 1.5)):
            signalled(signal.SIGKILL, "ray::SandboxActor")()

    killer = threading.Thread(target=kill)
    killer.start()
    threading.Timer(5.0, ended.set).start()
    try:
        struck, _ = run(tmp_path / "struck", text)
    finally:
        ended.set()
        killer.join()
    assert finished(struck) == finished(calm)
    assert not [row for row in all_rejections(struck) if row.status == "failed"]


def all_rejections(store: Store) -> list[Rejection]:
    return rejections(store, "verify", "respond", "check")
