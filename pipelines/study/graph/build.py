"""Builds the graph of steps from a study. Cells of the grid share the steps that they have in common."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pipelines.study.graph.builders.answers import add_given, add_responses
from pipelines.study.graph.builders.autoif import AutoIFSteps
from pipelines.study.graph.builders.benchmarks import BenchmarkSteps
from pipelines.study.graph.builders.judging import JudgingSteps
from pipelines.study.graph.builders.measures import MEASURES, add_reward
from pipelines.study.graph.builders.methods import METHODS, EvolutionInputs
from pipelines.study.graph.builders.seeds import add_seeds
from pipelines.study.graph.builders.step_builder import StepBuilder
from pipelines.study.graph.builders.students import add_selection, add_training
from pipelines.study.graph.steps.grid import Cell, Grid, InstructionDataset, SetOrigin
from pipelines.study.graph.steps.step import Step
from pipelines.study.inputs.system_prompts import read_system_prompt
from pipelines.study.spec.instructions.evolution import Evolution
from pipelines.study.spec.instructions.seeds import Seeds
from pipelines.study.spec.study import Study
from pipelines.study.spec.training.recipes import Student

GIVEN_DECODING = "given"


def build(study: Study, folder: Path) -> Grid:
    """Return the grid of a study whose file is in `folder`."""
    return GridBuilder(study, folder).grid()


class GridBuilder(StepBuilder):
    """Takes the products of a study: its data sets, and the cells of trained students."""

    def __init__(self, study: Study, folder: Path) -> None:
        super().__init__(study, folder)
        self.benchmark_steps = BenchmarkSteps(study, folder, self.models, self.identify, self.add)
        judge_system = read_system_prompt(folder, study.judging.system if study.judging else None)
        self.judging_steps = JudgingSteps(
            study.judging, study.instruction_reward, self.models, self.identify, self.add, judge_system
        )

    def grid(self) -> Grid:
        sets = tuple(self.datasets())
        cells = (*self.add_base_cells(), *(cell for pairs in sets for cell in self.add_cells(pairs, sets)))
        return Grid(self.steps, sets, cells)

    def datasets(self) -> Iterator[InstructionDataset]:
        for seeds in self.study.seeds:
            start = add_seeds(self, seeds)
            yield from self.add_given_datasets(seeds, start)
            if self.study.responses.answer_seeds:
                yield from self.add_datasets(SetOrigin(seeds.name, "", "", 0), start)
            for evolution in self.study.evolution:
                for evolver in evolution.evolvers:
                    yield from self.add_evolved_datasets(start, seeds.name, evolution, evolver)

    def add_evolved_datasets(
        self, start: Step, seeds: str, evolution: Evolution, evolver: str
    ) -> Iterator[InstructionDataset]:
        """Yield the data sets of one evolver with one method."""
        several = len(self.study.evolution) > 1
        subject = " ".join([seeds, *([evolution.name] if several else []), evolver])
        method = evolution.name if several else ""
        rounds = METHODS[evolution.method](self, EvolutionInputs(evolution, evolver, start, subject))
        for number, evolved in enumerate(rounds, 1):
            yield from self.add_datasets(
                SetOrigin(seeds, method, evolver, number), evolved.instructions, evolved.autoif
            )

    def add_datasets(
        self, origin: SetOrigin, step: Step, autoif: AutoIFSteps | None = None
    ) -> Iterator[InstructionDataset]:
        draws = autoif.block.responses if autoif else 1
        for teacher in self.study.responses.teachers:
            for variant in self.study.responses.variants:
                responses = add_responses(self, step, teacher, variant, draws)
                if autoif:
                    responses = autoif.check(responses, origin.evolver)
                yield self.add_dataset(origin, teacher, variant.name, step, responses)

    def add_given_datasets(self, seeds: Seeds, step: Step) -> Iterator[InstructionDataset]:
        """Yield the data sets of existing answers to a seed set."""
        for given in self.study.responses.given:
            if given.seeds in (None, seeds.name):
                answers = add_given(self, given, seeds, step)
                origin = SetOrigin(seeds.name, "", "", 0)
                yield self.add_dataset(origin, given.name, GIVEN_DECODING, step, answers)

    def add_dataset(
        self, origin: SetOrigin, teacher: str, decoding: str, step: Step, responses: Step
    ) -> InstructionDataset:
        """Return the data set of a teacher's answers, with the steps that measure it."""
        judged = self.judging_steps.add_judgements(step)
        rewards = tuple((name, add_reward(self, responses, name)) for name in self.study.rewards)
        measured = tuple(found for add in MEASURES.values() if (found := add(self, step, responses)))
        return InstructionDataset(*origin, teacher, decoding, step, responses, measured, rewards, judged)

    def add_cells(self, pairs: InstructionDataset, sets: tuple[InstructionDataset, ...]) -> Iterator[Cell]:
        for selection in self.study.selection if self.study.students else ():
            selected = add_selection(self, pairs, selection, sets)
            for student in self.study.students:
                train = add_training(self, selected, student)
                yield Cell(pairs, selection.name, student, train, self.add_evaluations(student, train))

    def add_base_cells(self) -> Iterator[Cell]:
        for student in self.study.students:
            yield Cell(None, "", student, None, self.add_evaluations(student, None))

    def add_evaluations(self, student: Student, train: Step | None) -> tuple[tuple[str, Step], ...]:
        template = None if train else self.templates[student.recipe]
        return tuple(
            (bench.name, self.benchmark_steps.add_evaluation(student.model, train, bench, template))
            for bench in self.study.benchmarks
        )
