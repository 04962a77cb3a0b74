"""One driver per study: the second is refused, a dead one's lease is taken over, a zombie writes nothing more."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.store import lease as leases
from pipelines.store.errors import LeaseLost, StudyLocked
from pipelines.store.lease import Lease, LeaseRecord, acquire, read_lease
from pipelines.store.store import Store
from tests.support.timing import PATIENCE, until

HOLDER = """
import sys, time
from pipelines.store.lease import acquire
from pipelines.store.store import Store
with acquire(Store(sys.argv[1]), "s", ["k"], print):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr(leases, "LEASE_TIMEOUT", 1.0)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set a timeout within which heartbeats arrive even on a busy machine."""
    monkeypatch.setattr(leases, "LEASE_TIMEOUT", 60.0)


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lease of study s."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def elsewhere(store: Store) -> Lease:
    """The lease of another machine, as it lies in the store."""
    claim = LeaseRecord(study="s", token="theirs", host="other", boot="b", pid=1, since="then", steps=["k"])
    leases._write(store, claim)  # pyright: ignore[reportPrivateUsage]
    return Lease(store, claim)


def test_the_second_driver_of_a_study_is_refused_and_told_who_runs_it(
    tmp_path: Path, holder: subprocess.Popen[str], patient: None
) -> None:
    told: list[str] = []
    with (
        pytest.raises(StudyLocked, match=f"being run by process {holder.pid} on .* Wait for it, or stop"),
        acquire(Store(str(tmp_path)), "s", ["k"], told.append),
    ):
        pass
    assert "waiting 60 s for a heartbeat" in told[0]


def test_a_killed_holders_lease_is_taken_over_at_once(
    tmp_path: Path, holder: subprocess.Popen[str], patient: None
) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    told, started = list[str](), time.monotonic()
    with acquire(Store(str(tmp_path)), "s", ["k"], told.append) as lease:
        lease.check()
    assert time.monotonic() - started < 30, "nobody waits for a sign of life"
    assert told == [told[0]] and "taken over from process" in told[0]


def test_a_lease_of_another_machine_is_taken_over_once_it_gives_no_sign_of_life(tmp_path: Path) -> None:
    store, started = Store(str(tmp_path)), time.monotonic()
    elsewhere(store)
    with acquire(store, "s", ["k"], lambda told: None) as lease:
        assert time.monotonic() - started >= 1
        lease.check()
    assert read_lease(store, "s") is None


def test_a_lease_of_another_machine_that_beats_is_respected(tmp_path: Path, patient: None) -> None:
    store = Store(str(tmp_path))
    threading.Timer(0.3, elsewhere(store).heartbeat).start()
    with pytest.raises(StudyLocked, match="process 1 on other"), acquire(store, "s", ["k"], lambda told: None):
        pass


def test_a_process_of_another_container_with_this_machines_name_is_not_taken_for_dead(tmp_path: Path) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    mine = leases._new_record("s", ["k"])  # pyright: ignore[reportPrivateUsage]
    here = mine.model_copy(update={"pid": dead.pid})
    assert leases.is_dead(here)
    assert not leases.is_dead(here.model_copy(update={"space": "pid:[1]"}))
    assert leases.is_dead(here.model_copy(update={"space": "pid:[1]", "boot": "the one before"}))


def test_a_lease_is_renewed_again_after_whatever_the_store_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, failures = Store(str(tmp_path)), [OSError("away"), RuntimeError("what is this?")]

    def stumbling(path: str, data: bytes) -> None:
        if failures:
            raise failures.pop()
        Path(path).write_bytes(data)

    with acquire(store, "s", ["k"], lambda told: None) as lease:
        monkeypatch.setattr(store, "write_bytes", stumbling)
        renewed = Path(f"{tmp_path}/studies/s/lease.json.{lease.record.token}")
        renewed.write_bytes(b"")
        until(lambda: not failures and renewed.read_bytes() != b"")


def test_a_zombie_can_commit_nothing_after_a_takeover(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    with acquire(store, "s", ["k"], lambda told: None) as lease:
        store.fence = lease.check
        store.fence()
        elsewhere(store)
        with pytest.raises(LeaseLost, match="study s was taken over by process 1 on other"):
            store.fence()
        assert lease.lost.wait(PATIENCE), "the beats stop, too"
    assert read_lease(store, "s") is not None, "the lease of the other one stays"


def test_a_zombie_that_was_about_to_give_a_sign_of_life_takes_nothing_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(str(tmp_path))
    zombie = elsewhere(store)
    monkeypatch.setattr(zombie, "check", lambda: None)  # it halted after it had looked
    with acquire(store, "s", ["k"], lambda told: None) as lease:
        zombie.heartbeat()
        lease.check()
        monkeypatch.undo()
        with pytest.raises(LeaseLost):
            zombie.heartbeat()


def test_two_studies_that_would_run_the_same_step_at_once_are_kept_apart(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    with acquire(store, "one", ["a", "b"], lambda told: None):
        with (
            pytest.raises(StudyLocked, match="runs 1 step of this study, for study one"),
            acquire(store, "two", ["b", "c"], lambda told: None),
        ):
            pass
        with acquire(store, "two", ["c"], lambda told: None):
            pass


def test_of_many_that_start_together_exactly_one_holds_the_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "LEASE_TIMEOUT", 5.0)  # enough for a heartbeat of the holder on a busy machine
    store, holders, refused = Store(str(tmp_path)), list[str](), list[str]()
    done = threading.Event()

    def drive() -> None:
        try:
            with acquire(store, "s", ["k"], lambda told: None) as lease:
                holders.append(lease.record.token)
                done.wait(PATIENCE)
        except StudyLocked as error:
            refused.append(str(error))

    threads = [threading.Thread(target=drive) for _ in range(6)]
    for thread in threads:
        thread.start()
    until(lambda: len(refused) == 5)
    done.set()
    for thread in threads:
        thread.join()
    assert len(holders) == 1 and len(refused) == 5


def test_a_file_that_is_no_lease_holds_nobody_up(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write_bytes(str(tmp_path / "studies" / "s" / "lease.json"), b'{"study": "s"')
    assert read_lease(store, "s") is None
    with acquire(store, "s", ["k"], lambda told: None) as lease:
        lease.check()
