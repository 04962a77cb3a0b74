"""The study becomes a graph of steps. Cells of the grid share the steps that they have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import prompts
from pipelines.evolve.methods import prompt_name, rotation
from pipelines.store.fingerprint import hash_file
from pipelines.study.models import identity
from pipelines.study.spec import Benchmark, Decoding, SamplingSpec, Seeds, Selection, Student, Study
from pipelines.study.steps import (
    EvaluateJob,
    EvolveJob,
    Job,
    Kind,
    RespondJob,
    ScoreJob,
    SeedsJob,
    SelectJob,
    Step,
    TrainJob,
    make_step,
)
from pipelines.world import WORLD_VERSION


@dataclass(frozen=True, slots=True)
class PairSet:
    """One data set: the instructions of a round and a teacher's answers. Round 0 are the seeds, without evolver."""

    seeds: str
    evolver: str
    round: int
    teacher: str
    decoding: str
    instructions: Step
    responses: Step
    scores: Step | None


@dataclass(frozen=True, slots=True)
class Cell:
    """One trained student and its evaluations by benchmark; an untuned base has neither pairs nor training."""

    pairs: PairSet | None
    selection: str
    student: Student
    train: Step | None
    evaluations: tuple[tuple[str, Step], ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """All steps by key, inputs before what needs them; the data sets; the cells, untuned bases first."""

    steps: Mapping[str, Step]
    sets: tuple[PairSet, ...]
    cells: tuple[Cell, ...]


def build(study: Study, folder: Path) -> Grid:
    """The grid of a study whose file lies in `folder`."""
    return _Builder(study, folder).grid()


class _Builder:
    def __init__(self, study: Study, folder: Path) -> None:
        self.study, self.folder = study, folder
        self.steps: dict[str, Step] = {}
        self.models = {name: identity(model, folder) for name, model in study.models.items()}

    def grid(self) -> Grid:
        sets = tuple(self.sets())
        cells = (*self.bases(), *(cell for pairs in sets for cell in self.cells(pairs)))
        return Grid(self.steps, sets, cells)

    def add(self, kind: Kind, label: str, job: Job, payload: dict[str, Any], *inputs: Step) -> Step:
        step = make_step(kind, label, job, payload, inputs)
        return self.steps.setdefault(step.key, step)

    def sets(self) -> Iterator[PairSet]:
        for seeds in self.study.seeds:
            start = self.seeds(seeds)
            if self.study.responses.answer_seeds:
                yield from self.answered(seeds.name, "", 0, start)
            for evolver in self.study.evolution.evolvers:
                step = start
                for number in range(1, self.study.evolution.rounds + 1):
                    step = self.evolve(step, evolver, number)
                    yield from self.answered(seeds.name, evolver, number, step)

    def answered(self, seeds: str, evolver: str, number: int, step: Step) -> Iterator[PairSet]:
        for teacher in self.study.responses.teachers:
            for decoding in self.study.responses.decodings:
                responses = self.respond(step, teacher, decoding)
                scores = self.score(responses)
                yield PairSet(seeds, evolver, number, teacher, decoding.name, step, responses, scores)

    def seeds(self, seeds: Seeds) -> Step:
        payload: dict[str, Any] = {"limit": seeds.limit, "on_bad_row": seeds.on_bad_row}
        if seeds.file:
            payload["sha256"] = hash_file(self.folder / seeds.file)
        else:
            payload |= {"world": seeds.world, "world_version": WORLD_VERSION, "seed": self.study.seed}
        return self.add("seeds", f"seeds {seeds.name}", SeedsJob(seeds), payload)

    def evolve(self, step: Step, evolver: str, number: int) -> Step:
        spec = self.study.evolution
        methods = rotation(spec.breadth)
        payload: dict[str, Any] = {
            "method": spec.method,
            "round": number,
            "rotation": methods,
            "prompts": _digests(tuple(prompt_name(method) for method in methods)),
            "model": self.models[evolver],
            "sampling": spec.sampling,
            "seed": self.study.seed,
        }
        job = EvolveJob(evolver, number, methods, spec.sampling)
        return self.add("evolve", f"evolve {evolver} round {number}", job, payload, step)

    def respond(self, step: Step, teacher: str, decoding: Decoding) -> Step:
        sampling = SamplingSpec(**decoding.model_dump(exclude={"name"}))
        payload: dict[str, Any] = {
            "prompts": _digests(("answer", "answer_with_input")),
            "model": self.models[teacher],
            "sampling": sampling,
            "seed": self.study.seed,
        }
        label = f"respond {teacher} {decoding.name} to {step.label}"
        return self.add("respond", label, RespondJob(teacher, sampling), payload, step)

    def score(self, responses: Step) -> Step | None:
        if self.study.scoring is None:
            return None
        scorer = self.study.scoring.scorer
        payload: dict[str, Any] = {"model": self.models[scorer]}
        return self.add("score", f"score {responses.label}", ScoreJob(scorer), payload, responses)

    def select(self, pairs: PairSet, selection: Selection) -> Step:
        chosen = selection.model_dump(exclude={"name"})
        payload: dict[str, Any] = {"selection": chosen, "seed": self.study.seed}
        needs = (pairs.responses, pairs.scores) if pairs.scores and selection.needs_scores else (pairs.responses,)
        label = f"select {selection.name} of {pairs.responses.label}"
        return self.add("select", label, SelectJob(selection, self.study.seed), payload, *needs)

    def cells(self, pairs: PairSet) -> Iterator[Cell]:
        for selection in self.study.selection:
            if not self.study.students:
                return
            selected = self.select(pairs, selection)
            for student in self.study.students:
                train = self.train(selected, student)
                yield Cell(pairs, selection.name, student, train, self.evaluations(student, train))

    def train(self, selected: Step, student: Student) -> Step:
        recipe = self.study.recipes[student.recipe]
        payload: dict[str, Any] = {"recipe": recipe, "model": self.models[student.model], "seed": self.study.seed}
        label = f"train {student.model} {student.recipe} on {selected.label}"
        return self.add("train", label, TrainJob(student.model, recipe, self.study.seed), payload, selected)

    def bases(self) -> Iterator[Cell]:
        for student in self.study.students:
            yield Cell(None, "", student, None, self.evaluations(student, None))

    def evaluations(self, student: Student, train: Step | None) -> tuple[tuple[str, Step], ...]:
        return tuple((bench.name, self.evaluate(student, train, bench)) for bench in self.study.benchmarks)

    def evaluate(self, student: Student, train: Step | None, bench: Benchmark) -> Step:
        payload: dict[str, Any] = {
            "benchmark": bench.model_dump(exclude={"name"}),
            "world_version": WORLD_VERSION,
            "model": self.models[student.model],
            "seed": self.study.seed,
        }
        who = train.label if train else f"untuned {student.model}"
        job = EvaluateJob(student.model, bench)
        return self.add("evaluate", f"evaluate {bench.name} of {who}", job, payload, *([train] if train else []))


@lru_cache(maxsize=64)
def _digests(names: tuple[str, ...]) -> dict[str, str | int]:
    return {"parser": prompts.PARSER_VERSION, **{name: prompts.get(name).digest for name in names}}
