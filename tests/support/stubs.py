"""Stand-ins for the models and data of a study, so that it can be planned without either."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

import bundled
from pipelines.study.spec.study import Study

ROW: Final[dict[str, Any]] = {"instruction": "Count the words: fox, cow.", "input": "", "output": "2"}


def write_stubs(study: Study, folder: Path) -> None:
    """Write a small file or folder for every local path that the study names and `folder` lacks."""
    for model in study.models.values():
        if model.engine != "http":
            _model(folder / model.source, "tiny-1m-reward" if model.engine == "classifier" else "tiny-1m-base")
    if study.diversity:
        _encoder(folder / study.diversity.encoder)
    for name in _data_files(study):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".parquet":
            pq.write_table(pa.Table.from_pylist([ROW]), path)
        elif path.suffix in (".jsonl", ".json", ".csv"):
            path.write_text(json.dumps(ROW) + "\n")
        else:
            path.mkdir(exist_ok=True)


def _model(path: Path, name: str) -> None:
    """Write a folder like a bundled model's, with another identity."""
    path.mkdir(parents=True, exist_ok=True)
    for file in bundled.path(name).iterdir():
        if file.name == "config.json":
            (path / file.name).write_text(json.dumps(json.loads(file.read_text()) | {"name": path.name}))
        elif not (path / file.name).exists():
            (path / file.name).symlink_to(file)


def _encoder(path: Path) -> None:
    path.mkdir(parents=True, exist_ok=True)
    (path / "modules.json").write_text("[]")


def _data_files(study: Study) -> Iterator[str]:
    yield from (name for seeds in study.seeds for name in seeds.file or [])
    for benchmark in study.benchmarks:
        judge = benchmark.judge
        named = (benchmark.file, benchmark.shots_file, *((judge.reference, judge.length_control) if judge else ()))
        yield from (name for name in named if isinstance(name, str) and name not in study.models)
