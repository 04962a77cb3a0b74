"""Seeds as an axis on a real Ray: a finished study to which seeds are added runs these seeds only."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from pipelines.execution.runner import Summary, run
from pipelines.results.report.publish import report_path
from pipelines.store.store import Store
from pipelines.study.file.load import load

STUDY = """\
study: seeds
seeds:
  - {{name: world, world: {{count: 12}}}}
models:
  teacher: {{source: teacher, engine: scripted, cpus: 0.1}}
  base: {{source: "bundled:tiny-1m-base", cpus: 0.5}}
responses:
  teachers: [teacher]
  decodings: [{{name: warm, temperature: 0.7}}]
recipes: {{quick: {{epochs: 1, batch_size: 4, max_length: 128}}}}
students: [{{model: base, recipe: quick{seeds}}}]
benchmarks: [{{name: world, world: {{count: 6}}}}]
"""


def go(folder: Path, store: Store, seeds: str = "") -> tuple[Summary, str]:
    path = folder / "study.yaml"
    path.write_text(STUDY.format(seeds=seeds))
    output = io.StringIO()
    summary = run(load(path), store, None, Console(file=output, width=200))
    assert summary.failures == []
    return summary, output.getvalue()


def done(told: str, kind: str) -> int:
    return len(re.findall(rf"^done {kind} ", told, re.M))


@pytest.mark.usefixtures("ray_local")
def test_seeds_that_are_added_to_a_finished_study_run_alone(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    first, _ = go(tmp_path, store)
    assert first.executed == 6, "seeds, answers, selection, training, two evaluations"

    grown, told = go(tmp_path, store, seeds=", seeds: 3")
    assert (grown.executed, grown.reused) == (4, 6)
    assert (done(told, "train"), done(told, "evaluate")) == (2, 2)

    assert [row["seed"] for row in results(store, "results.csv")] == ["0", "1", "2"]
    assert [(row["seed"], row["runs"]) for row in results(store, "means.csv")] == [("", "3")]


def results(store: Store, name: str) -> list[dict[str, str]]:
    """Return the rows of trained students in a file of the report."""
    text = Path(report_path(store, "seeds")).with_name(name).read_text()
    return [row for row in csv.DictReader(text.splitlines()) if row["round"] != "-1"]
