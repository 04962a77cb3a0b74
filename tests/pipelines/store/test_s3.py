"""The store on S3's protocol: a real HTTP server, commits, exclusive creation, leases, a whole study's rows."""

from __future__ import annotations

import io
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from actors.engine import EngineSpec
from actors.inference.checkpoint_download import downloaded_checkpoint
from cluster.resources.inventory import machine
from pipelines.execution.runtime.context import RunContext
from pipelines.execution.runtime.progress import ProgressDisplay
from pipelines.execution.training.shared_base import evaluated_model
from pipelines.planning.plan import make_plan
from pipelines.store import atomic_files as files
from pipelines.store import lease as leases
from pipelines.store.errors import StudyLocked
from pipelines.store.lease import acquire
from pipelines.store.maintenance.garbage import find_garbage
from pipelines.store.maintenance.verify import verify
from pipelines.store.store import Store
from pipelines.store.studies.step_index import save_step_index
from pipelines.study.graph.steps.grid import Grid
from tests.support.offline import run_offline
from tests.support.studies import STUDENTS, scripted_study

s3fs = pytest.importorskip("s3fs")
moto = pytest.importorskip("moto.server")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """An S3 server of our own."""
    server = moto.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store in a new bucket."""
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    bucket = f"bucket-{uuid.uuid4().hex[:8]}"
    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem().mkdir(bucket)
    return Store(f"s3://{bucket}/store")


def test_a_study_has_the_same_rows_on_s3_as_on_a_local_disk(s3: Store, finished_store: tuple[Store, Grid]) -> None:
    local, grid = finished_store
    run_offline(scripted_study(responses={"teachers": ["small"]}), s3)
    assert s3.finished_keys() == local.finished_keys() == grid.steps.keys()
    for step in grid.steps.values():
        assert s3.manifest(step.kind, step.key).shards == local.manifest(step.kind, step.key).shards
        assert s3.rows(step.kind, step.key).equals(local.rows(step.kind, step.key))
    assert not any(one.problems for one in verify(s3))
    save_step_index(s3, "scripted", [])
    assert len(list(find_garbage(s3))) == len(grid.steps)


def test_finished_steps_on_s3_are_found_with_one_request(s3: Store) -> None:
    for number in range(20):
        s3.write_bytes(f"{s3.root}/steps/kind-{number % 3}/{number}/manifest.json", b"{}")
        s3.write_bytes(f"{s3.root}/steps/kind-0/open-{number}/parts/manifest.json", b"{}")
    requests: list[Any] = []
    s3.fs.s3.meta.events.register("before-call.s3.ListObjectsV2", lambda **request: requests.append(request))
    assert s3.finished_keys() == {str(number) for number in range(20)} and len(requests) == 1
    folders = files.list_in_folders(s3.fs, f"{s3.root}/steps", 2, "parts")
    assert sorted(folders) == sorted(f"{s3.root}/steps/kind-0/open-{number}/parts" for number in range(20))
    assert files.list_in_folders(s3.fs, f"{s3.root}/nothing", 2, "parts") == []


def test_of_many_writers_that_create_a_file_one_wins_and_its_content_stays(s3: Store) -> None:
    path, won = f"{s3.root}/one", list[int]()

    def write(number: int) -> None:
        if files.create_exclusive(s3.fs, path, str(number).encode()):
            won.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1 and s3.read_bytes(path) == str(won[0]).encode()


def test_the_second_driver_of_a_study_on_s3_is_refused(s3: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "HEARTBEAT_SECONDS", 0.1)
    monkeypatch.setattr(leases, "LEASE_TIMEOUT", 3.0)
    with (
        acquire(s3, "s", ["k"], print),
        pytest.raises(StudyLocked, match="is being run by"),
        acquire(s3, "s", ["k"], print),
    ):
        pass
    with acquire(s3, "s", ["k"], print) as lease:
        lease.check()


def test_an_evaluator_gets_the_address_of_a_student_in_the_store(s3: Store, tmp_path: Path) -> None:
    plan = make_plan(study := scripted_study(**STUDENTS), tmp_path, s3)
    step = next(step for step in plan.pending_of("evaluate") if step.inputs)
    context = RunContext(study, tmp_path, s3, ProgressDisplay(Console(file=io.StringIO())), machine())
    found = evaluated_model(context, step, alone=True)
    assert found.spec.model == f"{s3.url}/steps/train/{step.inputs[0].key}/model"


def test_a_student_is_copied_from_s3_to_where_it_is_loaded_and_exported(s3: Store, tmp_path: Path) -> None:
    s3.write_bytes(f"{s3.folder('train', 'k')}/model/adapter/weights", b"1")
    with downloaded_checkpoint(EngineSpec("transformers", s3.address("train", "k", "model"))) as here:
        assert Path(here.model, "adapter", "weights").read_bytes() == b"1"
    assert not Path(here.model).parent.exists()
    s3.fetch("train", "k", "model", tmp_path / "out")
    assert (tmp_path / "out" / "adapter" / "weights").read_bytes() == b"1"


def test_a_training_finds_what_the_last_run_left_and_its_student_comes_to_its_place(s3: Store) -> None:
    files = {"student-0/weights": b"1", "student-0/adapter/weights": b"2"}
    left = s3.staging_path("train", "k", "model")
    for name, data in files.items():
        s3.write_bytes(f"{left}/{name}", data)
    mine = Store(s3.url, epoch=1).staging_path("train", "k", "model")
    assert mine != left and s3.fs.find(left) == []
    s3.promote("train", "k", "model", f"{mine}/student-0")
    assert {shard.file for shard in s3.files("train", "k", "model")} == {"model/weights", "model/adapter/weights"}
    assert s3.fs.find(mine) == []
