"""What is logged of a study's steps: curves and scores of trainings, and costs of all steps."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from pipelines.execution.trackers.backend import Plain, TrackedRun
from pipelines.results.report.collect.results import collect_results
from pipelines.results.report.data.report import Result
from pipelines.store.store import Store
from pipelines.store.studies.spending_log import load_spending
from pipelines.study.graph.steps.grid import Cell, Grid
from pipelines.study.spec.study import Study

LIVE_LOSS = "train/live_loss"  # of students that share a process: the mean over all of them
LOSS = "train/loss"


@dataclass(frozen=True, slots=True)
class Numbers:
    """Numbers of a run at a step: of a training, its optimizer step; of a study, the number of finished steps."""

    run: TrackedRun
    step: int
    values: Mapping[str, float]


@dataclass(frozen=True)
class StudyFacts:
    """Reads what is logged of a study's finished steps."""

    study: Study
    folder: Path
    grid: Grid
    store: Store

    @cached_property
    def study_run(self) -> TrackedRun:
        """The run of the study itself."""
        config: dict[str, Plain] = {"study": self.study.study, "seed": self.study.seed, "steps": len(self.grid.steps)}
        return TrackedRun(self._id("study"), f"study {self.study.study}", config)

    def training_run(self, key: str) -> TrackedRun:
        """Return the run of a training."""
        step, cell = self.grid.steps[key], self._by_training[key]
        config: dict[str, Plain] = {
            "study": self.study.study,
            "base": cell.student.model,
            "recipe": cell.student.recipe,
        }
        if cell.share < 1:
            config["share"] = cell.share
        config |= {name: _plain(value) for name, value in self.study.recipes[cell.student.recipe].model_dump().items()}
        if cell.pairs:
            origin = ("seeds", "evolved_by", "round", "teacher", "decoding")
            config |= {name: getattr(cell.pairs, name) for name in origin} | {"selection": cell.selection}
        return TrackedRun(self._id(key[:12]), step.label, config)

    def live_loss(self, key: str, step: int, loss: float) -> Numbers:
        """Return the loss of a training in progress."""
        return Numbers(self.training_run(key), step, {LIVE_LOSS: loss})

    def finished(self, key: str, count: int) -> Iterator[Numbers]:
        """Yield the numbers of a finished step, the `count`th of the study."""
        step = self.grid.steps[key]
        manifest = self.store.manifest(step.kind, key)
        costs = {f"seconds/{step.kind}": manifest.seconds, "steps_done": float(count)}
        yield Numbers(self.study_run, count, costs | self._spending())
        if key in self._by_training:
            run, losses = self.training_run(key), manifest.extra["losses"]
            yield from (Numbers(run, number, {LOSS: loss}) for number, loss in losses)
            speed = {"seconds": manifest.extra["train_seconds"], "tokens": manifest.extra["tokens"]}
            yield Numbers(run, len(losses), {f"cost/{name}": float(value) for name, value in speed.items()})
        for cell in self._by_evaluation[key]:
            yield from self._scores(cell, key, count)

    @cached_property
    def _by_training(self) -> dict[str, Cell]:
        return {cell.train.key: cell for cell in (*self.grid.cells, *self.grid.partial) if cell.train}

    @cached_property
    def _by_evaluation(self) -> Mapping[str, list[Cell]]:
        found = defaultdict[str, list[Cell]](list)
        for cell in self.grid.cells:
            for _, step in cell.evaluations:
                found[step.key].append(cell)
        return found

    def _scores(self, cell: Cell, key: str, count: int) -> Iterator[Numbers]:
        """Yield the scores of one evaluation of a cell: in the run of its training, and in that of the study."""
        evaluations = tuple((name, step) for name, step in cell.evaluations if step.key == key)
        needed = {step.key: step for _, step in evaluations} | ({cell.train.key: cell.train} if cell.train else {})
        manifests = {each: self.store.manifest(step.kind, each) for each, step in needed.items()}
        grid = replace(self.grid, cells=(replace(cell, evaluations=evaluations),))
        for result in collect_results(grid, self.store, manifests, self.folder):
            name = f"score/{result.measure}"
            if cell.train:
                steps = len(manifests[cell.train.key].extra["losses"])
                yield Numbers(self.training_run(cell.train.key), steps, {name: result.value})
            yield Numbers(self.study_run, count, {f"{name}/{_student(result)}": result.value})

    def _spending(self) -> dict[str, float]:
        spent = load_spending(self.store, self.study.study)
        return {"spent/tokens": spent.tokens, "spent/dollars": spent.dollars, "spent/gpu_hours": spent.gpu_hours}

    def _id(self, part: str) -> str:
        """Return the id of a run, which runs of the same study in other stores do not have."""
        store = hashlib.sha256(self.store.url.encode()).hexdigest()[:6]
        return f"{self.study.study}-{store}-{part}"


def _student(result: Result) -> str:
    """Return the student of a result in one text; of one with several seeds, with its seed."""
    if result.round < 0:
        return f"{result.student} untuned"
    origin = (result.seeds, result.evolver, f"r{result.round}", result.teacher, result.decoding, result.selection)
    seeds = [f"seed{seed}" for seed in (result.answer_seed, result.seed) if seed is not None]
    return " ".join(filter(None, [result.student, result.recipe, *origin, *seeds]))


def _plain(value: object) -> Plain:
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)
