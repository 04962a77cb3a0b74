"""The tasks that instructions are checked against: a study's benchmarks, and files of texts."""

from __future__ import annotations

from pathlib import Path

from pipelines.errors import InputError
from pipelines.rows.readers import check_seed_file
from pipelines.study.spec.benchmarks import Benchmark
from pipelines.study.spec.study import Study

TEXT_SUFFIX = ".txt"


def reference_label(study: Study, name: str) -> str:
    """What a source of tasks is called in rows: the benchmark's name, or the file's without its folder."""
    return name if find_benchmark(study, name) else Path(name).name


def check_reference(study: Study, folder: Path, name: str) -> str:
    """What is wrong with a source of tasks; empty if nothing is."""
    path = folder / name
    if (benchmark := find_benchmark(study, name)) and not (benchmark.world or benchmark.file):
        return f"the texts of benchmark '{name}' are known only where it names its file"
    if benchmark or (path.suffix == TEXT_SUFFIX and path.is_file()):
        return ""
    try:
        check_seed_file(path)
    except InputError as error:
        return f"'{name}' is no benchmark of this study and no file of texts: {error.message}"
    return ""


def find_benchmark(study: Study, name: str) -> Benchmark | None:
    return next((benchmark for benchmark in study.benchmarks if benchmark.name == name), None)
