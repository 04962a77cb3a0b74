"""The tasks that instructions are checked against: a study's benchmarks, and files of texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipelines.errors import InputError
from pipelines.evaluate.data import choices, records
from pipelines.readers import check_seed_file, read_seeds
from pipelines.store.fingerprint import hash_file
from pipelines.study.benchmark_steps import data_identity
from pipelines.study.benchmarks import SUBJECTS, Benchmark
from pipelines.study.spec import Study
from pipelines.world import WORLD_VERSION, heldout

TEXT = ".txt"
TEXTS = ("instruction", "question", "problem", "prompt", "text")


def tasks(study: Study, folder: Path, name: str) -> list[str]:
    """The texts of a benchmark's tasks, or of a file: one a line (.txt), or the instructions of its rows.

    `folder` is the study file's. Raises InputError for a file that can not be read.
    """
    if benchmark := _benchmark(study, name):
        return _asked(benchmark, folder, study.seed)
    path = folder / name
    if path.suffix == TEXT:
        return [line for line in path.read_text().splitlines() if line.strip()]
    return [f"{row.instruction}\n{row.input}".strip() for row in read_seeds(path, on_bad_row="quarantine").rows]


def label(study: Study, name: str) -> str:
    """What a source of tasks is called in rows: the benchmark's name, or the file's without its folder."""
    return name if _benchmark(study, name) else Path(name).name


def reference_identity(study: Study, folder: Path, name: str) -> dict[str, Any]:
    """Everything about a source of tasks that changes what is found in it."""
    if benchmark := _benchmark(study, name):
        if benchmark.world is None:
            return {"name": name, "data": data_identity(benchmark, folder), "limit": benchmark.limit}
        return {"name": name, "world": benchmark.world, "world_version": WORLD_VERSION, "seed": study.seed}
    return {"name": label(study, name), "sha256": hash_file(folder / name)}


def check_reference(study: Study, folder: Path, name: str) -> str:
    """What is wrong with a source of tasks; empty if nothing is."""
    path = folder / name
    if (benchmark := _benchmark(study, name)) and not (benchmark.world or benchmark.file):
        return f"the texts of benchmark '{name}' are known only where it names its file"
    if benchmark or (path.suffix == TEXT and path.is_file()):
        return ""
    try:
        check_seed_file(path)
    except InputError as error:
        return f"'{name}' is no benchmark of this study and no file of texts: {error.message}"
    return ""


def _asked(benchmark: Benchmark, folder: Path, seed: int) -> list[str]:
    """The texts of a benchmark's tasks, without examples and what else stands around them in a prompt."""
    if benchmark.world:
        return [task.instruction for task in heldout(benchmark.world.count, seed, tuple(benchmark.world.levels))]
    path = folder / (benchmark.file or "")
    if benchmark.kind in SUBJECTS:
        by_subject = choices(path, "test" if benchmark.kind == "mmlu" else "val")
        return [row["question"] for rows in by_subject.values() for row in rows[: benchmark.limit]]
    rows = records(path)[: benchmark.limit]
    return [str(next((row[name] for name in TEXTS if name in row), "")) for row in rows]


def _benchmark(study: Study, name: str) -> Benchmark | None:
    return next((benchmark for benchmark in study.benchmarks if benchmark.name == name), None)
