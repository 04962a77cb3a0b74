"""A study with students whose trainings and evaluations are made up, step by step."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pipelines.execution.runtime.commit import commit_rows, commit_step
from pipelines.execution.runtime.progress import ProgressDisplay
from pipelines.execution.trackers.backend import TrackedRun
from pipelines.planning.plan import Plan, make_plan
from pipelines.rows.types import AnswerRow
from pipelines.store.manifest import Account
from pipelines.store.store import Store
from pipelines.study.file.load import LoadedStudy, load_values
from pipelines.study.graph.steps.step import Step

CONTENT: dict[str, Any] = {
    "study": "tracked",
    "seeds": [{"name": "world", "world": {"count": 4}}],
    "models": {"tiny": {"source": "tiny", "engine": "scripted"}},
    "responses": {"teachers": ["tiny"]},
    "recipes": {"full": {"epochs": 1}},
    "students": [{"model": "tiny", "recipe": "full"}],
    "benchmarks": [{"name": "sums", "world": {"count": 2}}],
}


@dataclass
class FakeBackend:
    """Remembers what is logged; with an error, raises it."""

    points: list[tuple[str, int, Mapping[str, float]]] = field(default_factory=list)
    configs: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    error: Exception | None = None
    closed: int = 0

    def log(self, run: TrackedRun, step: int, values: Mapping[str, float]) -> None:
        if self.error:
            raise self.error
        self.configs[run.name] = run.config
        self.points.append((run.name, step, values))

    def close(self) -> None:
        self.closed += 1

    def of(self, tag: str) -> list[tuple[int, float]]:
        return [(step, values[tag]) for _, step, values in self.points if tag in values]


@dataclass
class TrackedStudy:
    """A study with trackers, the store of its results, and the display of its run."""

    loaded: LoadedStudy
    store: Store
    display: ProgressDisplay
    output: io.StringIO

    @property
    def plan(self) -> Plan:
        return make_plan(self.loaded.study, self.loaded.folder, self.store)

    @property
    def training(self) -> Step:
        return next(step for step in self.plan.grid.steps.values() if step.kind == "train")

    def train(self, first: int, last: int) -> None:
        """Show the losses of some optimizer steps, of which the last are at the end of the training."""
        for number in range(first, last + 1):
            self.display.update(self.training.key, self.training.label, number, 4, loss=1 / number)

    def finish_training(self) -> None:
        step = self.training
        extra = {"losses": [(n, 1 / n) for n in range(1, 5)], "train_seconds": 2.0, "tokens": 80, "speed": {}}
        extra["placement"] = {"together": 1}
        self.display.finish_step(commit_step(self.store, step, Account(rows_in=4, rows_out=4), (), 3.0, extra))

    def finish_evaluations(self) -> None:
        for step in self.plan.grid.steps.values():
            if step.kind == "evaluate":
                rows = [_answer(number, correct=number == 0 or bool(step.inputs)) for number in range(2)]
                self.display.finish_step(commit_rows(self.store, step, [*rows], [], 2, 1.0))


def _answer(number: int, correct: bool) -> AnswerRow:
    return AnswerRow(
        id=f"{number}",
        parent_id="",
        seed_id=f"{number}",
        index=number,
        task="sums",
        level=0,
        instruction="1+1",
        reference="2",
        response="2",
        correct=correct,
        item=f"{number}",
        measures=["accuracy"],
        values=[float(correct)],
        weights=[1.0],
    )


@pytest.fixture
def tracked(tmp_path: Path) -> Any:
    def make(*trackers: Any) -> TrackedStudy:
        output = io.StringIO()
        loaded = load_values(CONTENT | {"trackers": [*trackers]}, tmp_path)
        display = ProgressDisplay(Console(file=output, width=200))
        return TrackedStudy(loaded, Store(str(tmp_path / "store")), display, output)

    return make
