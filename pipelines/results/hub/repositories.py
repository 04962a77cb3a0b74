"""What will be on the hub: the repositories of a study, with the files and the card of each."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from actors.model_folder.adapter import ADAPTER_FOLDER, name_base
from pipelines.errors import InputError
from pipelines.results.export.card import student_card
from pipelines.results.export.datasets import data_sources, export_sets
from pipelines.results.export.files import ExportedModel
from pipelines.results.export.students import describe_student, finished_students
from pipelines.results.hub.croissant import croissant
from pipelines.results.hub.names import student_repository
from pipelines.results.hub.secrets import SecretFinder
from pipelines.results.report.publish import fetch_report
from pipelines.store.store import CHECKPOINT_FOLDER, Store
from pipelines.study.file.load import LoadedStudy
from pipelines.study.graph.steps.grid import Cell, Grid

CARD = "README.md"
STUDY_FILE = "study.yaml"
_TOKENIZER_FILES = ("tokenizer", "special_tokens_map.json", "added_tokens.json", "vocab", "merges.txt", "chat_template")


@dataclass(frozen=True)
class HubFile:
    """A file of a repository, by its path there, and its size in bytes."""

    path: str
    size: int


@dataclass(frozen=True)
class Repository:
    """A repository of the hub. `stage` writes the large files of a student to a folder; the others are in `folder`."""

    name: str
    kind: Literal["dataset", "model"]
    files: tuple[HubFile, ...]
    folder: Path
    stage: Callable[[Path], None] | None = None

    @property
    def card(self) -> str:
        """The text of its card."""
        return (self.folder / CARD).read_text(encoding="utf-8")

    @property
    def size(self) -> int:
        """The bytes of all files."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True)
class Publication:
    """What is published of a study in a store: as the data set `target`, with students whose names match a pattern.

    `endpoint` is the address of the hub.
    """

    store: Store
    loaded: LoadedStudy
    grid: Grid
    target: str
    endpoint: str
    students: Sequence[str] = ("*",)

    def prepare(self, folder: Path) -> list[Repository]:
        """Write everything except the weights of students to `folder`, and return the repositories.

        Raises:
            InputError: Nothing is finished, a pattern matches no student, or a file contains a secret.
        """
        data = self._data_set(folder / "data")
        found = [self._student(cell, folder, data.name if data else "") for cell in self._cells()]
        if not data and not found:
            raise InputError("no data set and no student of this study is finished", remedy="Run the study first.")
        secrets = SecretFinder.of_study(self.loaded.study)
        for repository in (repositories := [*([data] if data else []), *found]):
            secrets.check(repository.folder, repository.name)
        return repositories

    def _cells(self) -> list[Cell]:
        cells = [*finished_students(self.store, self.grid)]
        names = {id(cell): describe_student(self.store, self.loaded, cell).name for cell in cells}
        for pattern in self.students:
            if pattern != "*" and not any(fnmatchcase(name, pattern) for name in names.values()):
                remedy = f"Finished students: {', '.join(names.values()) or 'none'}."
                raise InputError(f"'{pattern}' matches no finished student", field="--student", remedy=remedy)
        return [cell for cell in cells if any(fnmatchcase(names[id(cell)], pattern) for pattern in self.students)]

    def _data_set(self, folder: Path) -> Repository | None:
        store, study, home = self.store, self.loaded.study, self.loaded.folder
        files = export_sets(store, study, self.grid, folder, "parquet", home=home, hub=self.target)
        if not files:
            return None
        fetch_report(study, home, self.grid, store, folder / "report")
        sources = data_sources(store, study, files, home, fetch=True)
        described = croissant(study, files, sources, self.target, self.endpoint)
        (folder / "croissant.json").write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
        self._copy_study(folder)
        return Repository(self.target, "dataset", _files(folder), folder)

    def _student(self, cell: Cell, folder: Path, data: str) -> Repository:
        student = describe_student(self.store, self.loaded, cell, fetch=True)
        name = student_repository(self.target, student.name)
        own = folder / "students" / name.rpartition("/")[2]
        own.mkdir(parents=True)
        weights = StudentFiles(self.store, cell, student)
        card = student_card(self.loaded.study, student, data, adapter=weights.adapter_alone)
        (own / CARD).write_text(card, encoding="utf-8")
        self._copy_study(own)
        return Repository(name, "model", (*_files(own), *weights.files), own, weights.stage)

    def _copy_study(self, folder: Path) -> None:
        if self.loaded.path is None:
            raise InputError("the study has no file to push with its data", remedy="Save it first, and load the file.")
        (folder / STUDY_FILE).write_bytes(self.loaded.path.read_bytes())


@dataclass(frozen=True)
class StudentFiles:
    """The files of a student's checkpoint that are published.

    A LoRA student whose base is on the hub is an adapter that names its base, with its tokenizer. Any other student is
    published with its whole weights: for a base that is not on the hub, an adapter would be of no use to others.
    """

    store: Store
    cell: Cell
    student: ExportedModel

    @property
    def adapter_alone(self) -> bool:
        """Whether only the adapter is published."""
        return bool(self.student.base) and self.student.recipe.tuning == "lora"

    @property
    def files(self) -> list[HubFile]:
        """The published files, by their paths in the repository."""
        return [HubFile(self._target(name), size) for name, size in self._stored() if self._target(name)]

    def stage(self, folder: Path) -> None:
        """Write the files to a folder."""
        step = self.cell.train
        assert step
        for name, _ in self._stored():
            if target := self._target(name):
                path = folder / target
                path.parent.mkdir(parents=True, exist_ok=True)
                self.store.fetch_file(step.kind, step.key, f"{CHECKPOINT_FOLDER}/{name}", path)
        if self.adapter_alone:
            name_base(folder, self.student.base, self.student.model.revision)

    def _stored(self) -> list[tuple[str, int]]:
        step = self.cell.train
        assert step
        shards = self.store.manifest(step.kind, step.key).shards
        prefix = f"{CHECKPOINT_FOLDER}/"
        return [(each.file.removeprefix(prefix), each.bytes) for each in shards if each.file.startswith(prefix)]

    def _target(self, name: str) -> str:
        """Return the path in the repository of a file of the checkpoint; empty if it is not published."""
        in_adapter = name.startswith(f"{ADAPTER_FOLDER}/")
        if not self.adapter_alone:
            return "" if in_adapter else name
        if in_adapter:
            inner = name.removeprefix(f"{ADAPTER_FOLDER}/")
            return "" if inner == CARD else inner
        return name if name.startswith(_TOKENIZER_FILES) else ""


def _files(folder: Path) -> tuple[HubFile, ...]:
    found = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    found.sort(key=lambda path: (len(path.parts), path))
    return tuple(HubFile(path.as_posix(), (folder / path).stat().st_size) for path in found)
