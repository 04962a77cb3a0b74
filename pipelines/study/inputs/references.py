"""The sources of reference tasks for the contamination check: benchmarks of the study, and files of texts."""

from __future__ import annotations

from pathlib import Path

from pipelines.errors import InputError
from pipelines.rows.readers import find_files
from pipelines.study.spec.evaluation.benchmarks import Benchmark
from pipelines.study.spec.study import Study

TEXT_SUFFIX = ".txt"


def reference_label(study: Study, name: str) -> str:
    """Return the label of a source in rows: the name of the benchmark, or the name of the file without its folder."""
    return name if find_benchmark(study, name) else Path(name).name


def check_reference(study: Study, folder: Path, name: str) -> str:
    """Return what is wrong with a source of tasks, or "" if nothing is. `folder` is the study file's folder."""
    path = folder / name
    if (benchmark := find_benchmark(study, name)) and not (benchmark.world or benchmark.file):
        return f"the texts of benchmark '{name}' can only be read from a local file: name it as the benchmark's 'file'"
    if benchmark or (path.suffix == TEXT_SUFFIX and path.is_file()):
        return ""
    try:
        if path.is_dir():
            raise InputError("is a folder")
        find_files([path])
    except InputError as error:
        return f"'{name}' is neither a benchmark of this study nor a file of texts: {error.message}"
    return ""


def find_benchmark(study: Study, name: str) -> Benchmark | None:
    """Return the benchmark of a study by its name, or None."""
    return next((benchmark for benchmark in study.benchmarks if benchmark.name == name), None)
