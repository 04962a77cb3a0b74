"""Plug-ins that are packages: folders beside the study and installed ones, here and on the machines of a cluster."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zipfile import ZipFile

import pytest
from ray._private.runtime_env.packaging import create_package

from cluster.connection.jobs import Jobs
from pipelines.execution.submission import submit
from pipelines.study.check import check
from pipelines.study.file.load import load
from pipelines.study.graph.build import build
from pipelines.study.plugins import packages
from pipelines.study.plugins.active import active_plugins
from pipelines.study.plugins.shipping import Shipped
from tests.pipelines.plugins.conftest import METRIC
from tests.support.command_line import ROOT, evolgrid

WritePlugged = Callable[..., Path]
FILES = {
    "__init__.py": "from {name}.metric import SHOUTING\nfrom .rows import Loud\n",
    "metric.py": METRIC + "\nfrom pathlib import Path\nTEXT = (Path(__file__).parent / 'words.txt').read_text()\n",
    "rows.py": "class Loud:\n    volume = 3\n",
    "words.txt": "LOUD",
}


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """What a test has imported must not be found by the next one."""
    yield
    for name in ("loud", "louder", "loudest"):
        packages._forget(name)  # pyright: ignore[reportPrivateUsage]


def write_package(folder: Path, **changes: str) -> Path:
    folder.mkdir(parents=True)
    for name, text in FILES.items():
        (folder / name).write_text(text.replace("{name}", folder.name) + changes.get(name.partition(".")[0], ""))
    return folder


def select_keys(path: Path) -> list[str]:
    loaded = load(path)
    check(loaded)
    return sorted(step.key for step in build(loaded.study, loaded.folder).steps.values() if step.kind == "select")


def test_a_folder_beside_the_study_is_a_plug_in(plugged: WritePlugged, tmp_path: Path) -> None:
    package = write_package(tmp_path / "loud")
    path = plugged(METRIC, {"./mine.py": "./loud"})
    before = select_keys(path)
    (package / "__pycache__").mkdir(exist_ok=True)
    (package / "__pycache__" / "x.pyc").write_text("bytecode")
    assert select_keys(path) == before
    (package / "words.txt").write_text("QUIET")
    after = select_keys(path)
    assert len(before) == 4 and len({*before} & {*after}) == 2  # half of the selections are by the package's metric
    assert sys.modules["loud.metric"].TEXT == "QUIET"


def test_a_mistake_is_shown_where_it_is(plugged: WritePlugged, tmp_path: Path) -> None:
    write_package(tmp_path / "loud", metric="WRONG = Metric('a', 'up', print)\n")
    write_package(tmp_path / "louder", metric="def f(:\n")
    write_package(tmp_path / "loudest", metric="SHOUTING = Metric('ifd', 'low', print)\n")
    for name, told in (
        ("loud", "loud/metric.py:13: 'better' of a metric must be 'high' or 'low'; here is 'up'"),
        ("louder", "louder/metric.py:13: not valid Python: invalid syntax"),
        ("loudest", "loudest/metric.py:13: a metric named 'ifd' exists already"),
    ):
        path = plugged(METRIC, {"./mine.py": f"./{name}"})
        done = evolgrid("plan", path.name, folder=tmp_path)
        assert done.returncode == 2 and told in done.stderr and done.stderr.count("\n") == 1, done.stderr


def test_another_process_reads_values_of_a_folders_classes(plugged: WritePlugged, tmp_path: Path) -> None:
    write_package(tmp_path / "loud")
    load(plugged(METRIC, {"./mine.py": "./loud"}))
    (tmp_path / "value").write_bytes(pickle.dumps(Shipped(sys.modules["loud"].Loud())))
    read = "import pickle, sys; print(pickle.load(open(sys.argv[1], 'rb')).value.volume)"
    assert run([sys.executable, "-c", read, str(tmp_path / "value")], ROOT, {"PYTHONPATH": str(ROOT)}) == "3\n"
    (tmp_path / "loud" / "words.txt").write_text("other")
    with pytest.raises(subprocess.CalledProcessError):
        run([sys.executable, "-c", read, str(tmp_path / "value")], ROOT, {"PYTHONPATH": str(ROOT)})


@pytest.mark.parametrize(("entry", "place"), [("./loud", "loud"), ("loud", "site/loud"), ("loud", "site/loud.py")])
def test_a_package_travels_with_a_job(
    plugged: WritePlugged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: str, place: str
) -> None:
    """Packed and unpacked by Ray's own code, a job plans the same steps in a place that has nothing else."""
    monkeypatch.syspath_prepend(tmp_path / "site")
    if place.endswith(".py"):
        (tmp_path / "site").mkdir()
        (tmp_path / place).write_text(METRIC)
    else:
        write_package(tmp_path / place)
    path = plugged(METRIC, {"./mine.py": entry})
    keys = select_keys(path)
    (tmp_path / "upload").mkdir()
    job = submitted(path, tmp_path / "upload", monkeypatch)
    found = [unpack(each, tmp_path / "there" / str(n), job["excludes"]) for n, each in enumerate(job["py_modules"])]
    folder = unpack(job["working_dir"], tmp_path / "there" / "job", job["excludes"], parent=False)
    (tmp_path / place).rename(tmp_path / "moved")
    script = "import sys; from tests.pipelines.plugins.test_packages import *; print(select_keys(Path('study.yaml')))"
    assert run([sys.executable, "-c", script], folder, {"PYTHONPATH": os.pathsep.join(map(str, [*found, ROOT]))}) == (
        f"{keys}\n"
    )


def submitted(path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return the runtime environment of a study's job."""
    sent: list[dict[str, Any]] = []
    client = SimpleNamespace(submit_job=lambda **job: sent.append(job["runtime_env"]) or "id")
    monkeypatch.setattr("cluster.connection.jobs._client", lambda address: client)
    loaded = load(path)
    assert active_plugins()
    submit(Jobs("http://127.0.0.1:1"), loaded, "s3://bucket/folder", folder)
    return sent[0]


def unpack(path: str, target: Path, excludes: list[str], parent: bool = True) -> Path:
    """Pack a folder or a file as Ray does for an upload, and unpack it to `target`."""
    target.mkdir(parents=True)
    archive = target.with_suffix(".zip")
    create_package(
        path,
        archive,
        include_gitignore=True,
        include_parent_dir=parent and Path(path).is_dir(),
        excludes=excludes,
    )
    with ZipFile(archive) as packed:
        packed.extractall(target)
    return target


def run(command: list[str], folder: Path, variables: dict[str, str]) -> str:
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **variables}, check=True, stdout=subprocess.PIPE, text=True
    )
    return done.stdout
