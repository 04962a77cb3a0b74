"""Storage faults (full disks, truncated files, S3 errors) cause a clear error at most; the next run finishes."""

from __future__ import annotations

import os
import pickle
import random
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from s3fs import S3FileSystem

from pipelines.cli.common.exit_codes import message_and_code
from pipelines.execution.runtime.retry import root_cause
from pipelines.store.store import Store
from tests.faults.rig import Rig, finished, undisturbed
from tests.faults.stores import FlakyS3
from tests.faults.test_drivers import somewhere
from tests.support.ports import free_port


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk that fills up quickly."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], check=False).returncode:
        pytest.skip("a disk of its own can not be mounted here")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.mark.case(11)
def test_a_full_disk_is_one_clear_message_and_the_study_goes_on_when_there_is_room(
    tmp_path: Path, small_disk: Path, chance: random.Random
) -> None:
    rig = Rig(tmp_path / "rig", url=str(small_disk / "store"))
    _resize(small_disk, chance.randint(300, 1400))
    full = rig.run()
    assert full.code == 1 and "no space left" in full.output.lower() and "Traceback" not in full.output, full.output
    assert "run the study again" in full.output
    _resize(small_disk, 64 * 1024)
    assert rig.run().code == 0
    rig.check()
    assert all(repeated <= in_flight for repeated, in_flight in rig.repeated())


def _resize(disk: Path, kib: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={kib}k", str(disk)], check=True)


HARMS = {
    "cut": lambda data, chance: data[: chance.randrange(len(data))],
    "emptied": lambda data, chance: b"",
    "overwritten": lambda data, chance: data[: len(data) // 2] + bytes(64) + data[len(data) // 2 + 64 :],
}


UNFINISHED = ("*.rows.parquet", "*.answers", "*.rejected.parquet", "lease.json", "steps.json")
FINISHED = ("rows-00000.parquet", "manifest.json", "rejected-00000.parquet")
STUMBLES = ("503", "stale", "away", "slow", "cut")


@pytest.mark.case(12)
def test_a_spoilt_file_of_an_interrupted_run_is_made_again(rig: Rig, chance: random.Random, seed: int) -> None:
    rig.write(rig.text.replace("latency: 0.01", "latency: 0.01, refuse: garden", 1))
    assert rig.run(somewhere(chance, "shard.written")).code == -signal.SIGKILL
    found = sorted(Path(rig.url).rglob(UNFINISHED[seed % len(UNFINISHED)]))
    for path in chance.sample(found, min(2, len(found))):
        path.write_bytes(HARMS[chance.choice([*HARMS])](path.read_bytes(), chance))
    again = rig.run()
    assert again.code == 0, again.output
    rig.check()


@pytest.mark.case(12)
def test_a_spoilt_file_of_a_finished_step_is_found_and_made_again(rig: Rig, chance: random.Random, seed: int) -> None:
    assert rig.run(somewhere(chance, "commit.after_manifest", 0.7)).code == -signal.SIGKILL
    committed = sorted(path.parent for path in Path(rig.url).rglob("manifest.json"))
    path = chance.choice(committed) / FINISHED[seed % len(FINISHED)]
    path.write_bytes(HARMS[chance.choice(["cut", "emptied"])](path.read_bytes(), chance))
    again = rig.run()
    assert again.code == 0 and "damaged" in again.output, again.output
    rig.check()


@pytest.fixture(scope="module")
def s3() -> Iterator[FlakyS3]:
    server = FlakyS3()
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    yield server
    server.end()
    thread.join()


@pytest.mark.faults
@pytest.mark.case(17)
@pytest.mark.timeout(580)
def test_an_object_store_that_stumbles_ends_with_the_same_rows(
    tmp_path: Path, s3: FlakyS3, chance: random.Random, seed: int
) -> None:
    fault = STUMBLES[seed % len(STUMBLES)]
    rig = Rig(tmp_path / "rig", url=s3.bucket(), environment=s3.environment())
    s3.begin(fault, chance)
    codes = list[int]()
    while not codes or (codes[-1] and len(codes) < 6):
        run = rig.run(somewhere(chance) if not codes else "", seconds=120)
        codes.append(run.code)
        assert run.code in (0, -signal.SIGKILL) or "run the study again" in run.output, run.output
        if fault in ("away", "cut"):
            s3.begin("", chance)
    s3.begin("", chance)
    assert codes[-1] == 0 or rig.run().code == 0
    assert finished(_client(s3, rig)) == undisturbed(rig.text)


def _client(s3: FlakyS3, rig: Rig) -> Store:
    """Return the store as this process sees it."""
    os.environ.update(s3.environment())
    return Store(rig.url)


@pytest.mark.case(17)
@pytest.mark.parametrize("fault", ["away", "cut", "nobody there"])
def test_an_object_store_that_stays_away_is_one_message(
    s3: FlakyS3, chance: random.Random, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr(S3FileSystem, "retries", 1)
    store = _fresh(s3, s3.bucket(), monkeypatch, free_port() if fault == "nobody there" else 0)
    s3.begin(fault, chance)
    for ask in (store.finished_keys, lambda: store.write_bytes("b/x", b"")):
        with pytest.raises(OSError) as failure:
            ask()
        message, code = message_and_code(root_cause(pickle.loads(pickle.dumps(failure.value))))
        assert code == 1 and "run the study again" in message
    s3.begin("", chance)


@pytest.mark.case(17)
def test_an_object_store_that_is_back_after_a_moment_is_not_missed(
    s3: FlakyS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, port = s3.bucket(), free_port()
    store, later = _fresh(s3, url, monkeypatch, port), list[FlakyS3]()

    def begin() -> None:
        later.append(FlakyS3(port))
        later[0].serve()

    monkeypatch.setattr(S3FileSystem, "retries", 12)
    server = threading.Timer(3.0, begin)
    server.start()
    store.write_bytes(f"{store.root}/x", b"there")
    assert store.read_bytes(f"{store.root}/x") == b"there"
    later[0].end()
    server.join()


def _fresh(s3: FlakyS3, url: str, monkeypatch: pytest.MonkeyPatch, port: int = 0) -> Store:
    """Return a store with a separate client, at another local port if one is given."""
    for name, value in s3.environment().items():
        monkeypatch.setenv(name, value)
    if port:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    S3FileSystem.clear_instance_cache()
    return Store(url)
