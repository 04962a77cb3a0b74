"""Reads the texts of a benchmark's tasks, with which instructions are compared to find contamination."""

from __future__ import annotations

from pathlib import Path

from bundled.world import heldout
from pipelines.evaluate.items.data_files import multiple_choice_records, read_records
from pipelines.rows.readers import SeedRow, read_seeds
from pipelines.rows.text import user_turn
from pipelines.study.inputs.references import TEXT_SUFFIX, find_benchmark
from pipelines.study.spec.evaluation.benchmarks import Benchmark
from pipelines.study.spec.study import Study

TEXT_FIELDS = ("instruction", "question", "problem", "prompt", "text")


def task_texts(study: Study, folder: Path, name: str) -> list[str]:
    """Return the texts of a benchmark's tasks or of a file. `name` is a benchmark of the study, or else a file.

    A .txt file has one text per line. Other files are seed files, whose texts are all user turns of a row,
    instruction and input included.
    `folder` is the study file's folder.

    Raises:
        InputError: The file cannot be read.
    """
    if benchmark := find_benchmark(study, name):
        return _benchmark_texts(benchmark, folder, study.seed)
    path = folder / name
    if path.suffix == TEXT_SUFFIX:
        return [line for line in path.read_text().splitlines() if line.strip()]
    return [_user_text(row) for row in read_seeds(path, on_bad_row="quarantine").rows]


def _user_text(row: SeedRow) -> str:
    """Return everything that the user says in a conversation."""
    return "\n".join((*row.history[::2], user_turn(row.instruction, row.input))).strip()


def _benchmark_texts(benchmark: Benchmark, folder: Path, seed: int) -> list[str]:
    """Return the texts of a benchmark's tasks, without examples and the rest of the prompt."""
    if benchmark.world:
        return [task.instruction for task in heldout(benchmark.world.count, seed, tuple(benchmark.world.levels))]
    path = folder / (benchmark.file or "")
    if split := benchmark.traits.subject_split:
        by_subject = multiple_choice_records(path, split)
        return [row["question"] for rows in by_subject.values() for row in rows[: benchmark.limit]]
    rows = read_records(path)[: benchmark.limit]
    return [str(next((row[name] for name in TEXT_FIELDS if name in row), "")) for row in rows]
