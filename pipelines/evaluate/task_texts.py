"""The texts of a benchmark's tasks, which instructions are compared with to find contamination."""

from __future__ import annotations

from pathlib import Path

from bundled.world import heldout
from pipelines.evaluate.items.data_files import choices, records
from pipelines.rows.readers import read_seeds
from pipelines.study.inputs.references import TEXT, benchmark_named
from pipelines.study.spec.benchmarks import SUBJECTS, Benchmark
from pipelines.study.spec.study import Study

TEXTS = ("instruction", "question", "problem", "prompt", "text")


def tasks(study: Study, folder: Path, name: str) -> list[str]:
    """The texts of a benchmark's tasks, or of a file: one a line (.txt), or the instructions of its rows.

    `folder` is the study file's. Raises InputError for a file that can not be read.
    """
    if benchmark := benchmark_named(study, name):
        return _asked(benchmark, folder, study.seed)
    path = folder / name
    if path.suffix == TEXT:
        return [line for line in path.read_text().splitlines() if line.strip()]
    return [f"{row.instruction}\n{row.input}".strip() for row in read_seeds(path, on_bad_row="quarantine").rows]


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
