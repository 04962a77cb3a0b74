"""What is damaged in a store, or just being removed, ends no command in a traceback: the file is named and a remedy."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipelines.cli.app import app
from pipelines.cli.common.exit_codes import message_and_code
from pipelines.cli.views.status import partial_steps
from pipelines.errors import InputError
from pipelines.execution.runtime.meter import ResourceMeter
from pipelines.rows.types import ResponseRow
from pipelines.store.errors import CorruptStore
from pipelines.store.partitions import PartitionRows, find_partitions, read_partition, write_partition
from pipelines.store.store import Store
from pipelines.store.studies.retry_log import save_retries
from pipelines.store.studies.run_record import save_record
from pipelines.store.studies.step_index import save_step_index
from pipelines.study.file.load import load
from pipelines.study.graph.build import build
from tests.support.offline import run_offline

STUDY = """\
study: small
seeds:
  - {name: world, world: {count: 4}}
models:
  small: {source: small, engine: scripted, cpus: 0.1}
evolution: {evolvers: [small], rounds: 2}
responses: {teachers: [small]}
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study and its store."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "study.yaml").write_text(STUDY)
    store = Store(str(folder / "store"))
    grid = run_offline(load(folder / "study.yaml").study, store)
    save_step_index(store, "small", grid.steps)
    save_retries(store, "small", [])
    save_record(store, "small", ResourceMeter().record({}, []))
    return folder


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "copy"))


def told(folder: Path, command: str, *arguments: str) -> tuple[str, int]:
    """How a command on the study ends."""
    study = [str(folder / "study.yaml")] if command in ("status", "plan", "report") else []
    found = CliRunner().invoke(app, [command, *study, *arguments, "--store", str(folder / "store")])
    return message_and_code(found.exception) if found.exception else (found.stdout, found.exit_code)


@pytest.mark.parametrize(
    ("file", "command"),
    [
        ("steps/evolve/*/manifest.json", ("status",)),
        ("steps/evolve/*/manifest.json", ("report",)),
        ("steps/evolve/*/manifest.json", ("query", "from steps")),
        ("steps/evolve/*/manifest.json", ("plan", "--explain")),
        ("studies/*/steps.json", ("gc",)),
        ("studies/*/steps.json", ("query", "from steps")),
        ("studies/*/retries.json", ("status",)),
        ("studies/*/retries.json", ("query", "from steps")),
        ("studies/*/record.json", ("report",)),
    ],
)
def test_a_damaged_file_is_named_with_what_to_do(folder: Path, file: str, command: tuple[str, ...]) -> None:
    if command[0] == "plan":
        (folder / "study.yaml").write_text(STUDY.replace("rounds: 2}", "rounds: 2, sampling: {temperature: 0.1}}"))
    paths = sorted((folder / "store").glob(file))
    paths[0].write_bytes(paths[0].read_bytes()[:-2])
    message, code = told(folder, *command)
    assert code == 1 and message.startswith(f"{paths[0]} is damaged: "), message


def test_a_flipped_bit_of_a_row_is_no_other_row(folder: Path) -> None:
    store = Store(str(folder / "store"))
    row = ResponseRow(f"{1:032x}", "p", "s", 1, "Ask.", "", "An answer that is fine.", "stop", 3, 1)
    write_partition(store, "respond", "k", 0, PartitionRows([row], []))
    for path in (find_partitions(store, "respond", "k")[0].rows, *(folder / "store").glob("steps/respond/*/rows-*")):
        data = bytearray(Path(path).read_bytes())
        data[data.index(b"stop")] ^= 1
        Path(path).write_bytes(data)
        with pytest.raises(CorruptStore, match=r"is damaged .* delete its folder"):
            store.read_table(str(path))
    with pytest.raises(CorruptStore, match="was removed"):
        read_partition(store, "respond", find_partitions(store, "respond", "k")[0])


@pytest.mark.parametrize("harm", [lambda path: path.write_bytes(b"PAR1"), Path.unlink])
def test_parts_that_go_while_they_are_counted_are_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, harm: Callable[[Path], object]
) -> None:
    store, study = Store(str(folder / "store")), load(folder / "study.yaml").study
    step = next(step for step in build(study, folder).steps.values() if step.kind == "respond")
    store.invalidate(step.kind, step.key)
    write_partition(store, step.kind, step.key, 0, PartitionRows([], []))
    store.write_bytes(f"{store.folder(step.kind, step.key)}/parts/00000000-a.answers", b"answer\n")
    assert [(one.rows, one.answers) for one in partial_steps(store, [step])] == [(0, 1)]
    real = store.partition_files

    def listed(kind: str, key: str, pattern: str) -> list[str]:
        paths = real(kind, key, pattern)
        for path in paths:
            harm(Path(path))
        return paths

    monkeypatch.setattr(store, "partition_files", listed)
    assert [(one.rows, one.answers) for one in partial_steps(store, [step])] == [(0, 0)]


@pytest.mark.parametrize("asked", ["", "set threads=1", "create table t as select 1 as one"])
def test_a_query_that_asks_for_nothing_is_told_so(folder: Path, asked: str) -> None:
    message, code = told(folder, "query", asked)
    assert code == 2 and f"'{asked}' returns no table. Try 'SELECT * FROM steps'" in message


@pytest.mark.parametrize("name", ["out[1]", "a*b", "why?"])
def test_a_path_that_would_be_taken_for_a_pattern_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"has one of \*\?\[ in its path. Give another --store"):
        Store(str(tmp_path / name))
