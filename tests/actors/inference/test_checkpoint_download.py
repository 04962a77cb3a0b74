"""A checkpoint at a URL is there as a folder while its engine is, and nothing of it stays."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import fsspec
import pytest

from actors.engine import EngineSpec, LoadError
from actors.inference.checkpoint_download import DOWNLOAD_PREFIX, downloaded_checkpoint
from actors.serving import replica
from actors.serving.replica import Replica
from tests.actors.serving.pools import ask, ids, pool_of

URL = "memory://store/steps/train/abc/model"


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temp folder of a node, in a process whose environment a replica may set."""
    for name in ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def spec() -> Iterator[EngineSpec]:
    """A checkpoint in a remote store."""
    fs, path = fsspec.core.url_to_fs(URL)
    fs.pipe({f"{path}/config.json": b"{}", f"{path}/adapter/weights": b"1"})
    yield EngineSpec("transformers", URL)
    fs.rm("/store", recursive=True)


@pytest.mark.usefixtures("ray_local")
def test_a_replica_copies_each_checkpoint_that_it_loads_and_leaves_none(model_folder: Path) -> None:
    def copies() -> list[Path]:
        return list(Path(tempfile.gettempdir()).glob(f"{DOWNLOAD_PREFIX}{pid}-*"))

    first = EngineSpec("transformers", model_folder.as_uri(), max_length=128)  # what all processes reach
    with pool_of(first, "copying") as pool:
        pool.wait_until_ready(120)
        (pid,) = pool.stats().pids
        (copy,) = copies()
        assert ids(ask(pool.client())) == ["r0"]
        pool.swap_model(replace(first, max_length=64))
        assert len(copies()) == 1 and not copy.exists()
    assert copies() == []


def test_a_checkpoint_is_a_folder_of_this_node_until_the_end(temporary: Path, spec: EngineSpec) -> None:
    with downloaded_checkpoint(spec) as here:
        folder = Path(here.model)
        assert folder.is_relative_to(temporary)
        assert (folder / "config.json").read_bytes() == b"{}" and (folder / "adapter" / "weights").read_bytes() == b"1"
    assert list(temporary.iterdir()) == []


def test_a_checkpoint_in_a_folder_stays_where_it_is(temporary: Path) -> None:
    given = EngineSpec("transformers", "/models/a")
    with downloaded_checkpoint(given) as here:
        assert here == given and list(temporary.iterdir()) == []


def test_a_name_that_looks_like_a_url_is_no_checkpoint_of_an_engine_without_weights(temporary: Path) -> None:
    answer = asyncio.run(Replica(1, (), 1).load(EngineSpec("http", "foo://served/as")))
    assert isinstance(answer, LoadError) and "needs the option 'url'" in answer.detail


def test_what_a_killed_process_left_goes_with_the_next_checkout(temporary: Path, spec: EngineSpec) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        pass
    for pid in (dead.pid, os.getppid()):
        (temporary / f"{DOWNLOAD_PREFIX}{pid}-x" / "model").mkdir(parents=True)
    with downloaded_checkpoint(spec):
        pass
    assert [path.name for path in temporary.iterdir()] == [f"{DOWNLOAD_PREFIX}{os.getppid()}-x"]


@pytest.mark.parametrize("url", ["memory://store/steps/train/none/model", "foo://bucket/model"])
def test_what_can_not_be_fetched_is_named_with_what_to_do(temporary: Path, url: str) -> None:
    answer = asyncio.run(Replica(1, (), 1).load(EngineSpec("transformers", url)))
    assert isinstance(answer, LoadError) and answer.model == url
    assert "cannot be downloaded from the store (" in answer.detail and "every node that loads models needs" in str(
        answer
    )
    assert list(temporary.iterdir()) == []


@pytest.mark.usefixtures("temporary")
def test_a_model_over_several_nodes_is_not_copied_to_one(spec: EngineSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica, "unusable_gpus", lambda: "")
    answer = asyncio.run(Replica(1, None, 1).load(spec))
    assert isinstance(answer, LoadError) and "its engine spans several" in str(answer)


def test_nothing_stays_of_a_checkpoint_that_is_no_model(
    temporary: Path, spec: EngineSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = list[str]()

    def create(here: EngineSpec) -> None:
        seen.extend(path.name for path in Path(here.model).iterdir())
        raise OSError("no weights")

    monkeypatch.setattr(replica, "create", create)
    answer = asyncio.run(Replica(1, (), 1).load(spec))
    assert str(answer) == f"model {URL} cannot be loaded: OSError: no weights"
    assert sorted(seen) == ["adapter", "config.json"] and list(temporary.iterdir()) == []
