"""Builds the graph of steps from a study. Cells of the grid share the steps that they have in common."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from pipelines.study.graph.builders.answers import add_given, add_responses
from pipelines.study.graph.builders.benchmarks import BenchmarkSteps
from pipelines.study.graph.builders.judging import JudgingSteps
from pipelines.study.graph.builders.measures import MEASURES, add_reward, add_scores
from pipelines.study.graph.builders.methods import METHODS, EvolutionInputs, EvolvedRound
from pipelines.study.graph.builders.seeds import add_seeds
from pipelines.study.graph.builders.step_builder import StepBuilder
from pipelines.study.graph.builders.students import add_selection, add_training
from pipelines.study.graph.builders.unions import add_union
from pipelines.study.graph.steps.grid import Cell, Grid, InstructionDataset, LeftOut, SelectedSet, SetOrigin
from pipelines.study.graph.steps.step import Step
from pipelines.study.sparse.filter import GridFilter, Taken
from pipelines.study.sparse.places import NO_STUDENT, SetPlace, answerings, cell_places, given_place, place_of
from pipelines.study.sparse.unions import parts_of_unions, planned_unions, set_places
from pipelines.study.spec.common.basics import seed_values
from pipelines.study.spec.instructions.evolution import Evolution
from pipelines.study.spec.instructions.seeds import Seeds
from pipelines.study.spec.study import Study
from pipelines.study.spec.training.recipes import Student


def build(study: Study, folder: Path) -> Grid:
    """Return the grid of a study whose file is in `folder`."""
    return GridBuilder(study, folder).grid()


class GridBuilder(StepBuilder):
    """Takes the products of a study: its data sets, and the cells of trained students.

    Its `only` and `except` decide what of them is taken.
    """

    def __init__(self, study: Study, folder: Path) -> None:
        super().__init__(study, folder)
        self.benchmark_steps, self.judging_steps = BenchmarkSteps(self), JudgingSteps(self)
        self.filter = GridFilter(study)
        self.answerings = tuple(answerings(study))
        self.unions = planned_unions(study)
        self.parts_of_unions = parts_of_unions(self.unions)
        self.parts: dict[SetPlace, InstructionDataset] = {}
        self.selected: dict[str, SelectedSet] = {}
        self.selection_steps: dict[tuple[InstructionDataset, str, int, str, float], Step] = {}
        self.shares = study.search.rungs.shares if study.search and study.search.rungs else []
        self.partial: list[Cell] = []
        self.selections = {selection.name: selection for selection in study.selection}
        rivals = {bench.name: bench.rival_selection for bench in study.benchmarks}
        self.rivals = {name: rival for name, rival in rivals.items() if rival}

    def grid(self) -> Grid:
        taken = (*self.datasets(), *self.add_unions())
        sets = tuple(pairs for pairs, _ in taken)
        trained = (cell for pairs, trainings in taken for cell in self.add_cells(pairs, trainings, sets))
        cells = (*self.add_base_cells(), *trained)
        selected = tuple(self.selected.values())
        steps = self.steps
        if self.study.is_sparse or self.unions:
            steps = needed_steps(steps, sets, (*cells, *self.partial), selected)
        left_out = self.left_out(sets, cells)
        return Grid(steps, sets, cells, selected, left_out, tuple(self.partial), self.filter.counts)

    def datasets(self) -> Iterator[tuple[InstructionDataset, Taken]]:
        """Yield the data sets that are taken, with the trainings on each that are."""
        for seeds in self.study.seeds:
            start = add_seeds(self, seeds)
            yield from self.add_given_datasets(seeds, start)
            if self.study.responses.answer_seeds:
                yield from self.add_datasets(SetOrigin(seeds.name, "", "", 0), EvolvedRound(start))
            for evolution in self.study.evolution:
                for evolver in evolution.evolvers:
                    yield from self.add_evolved_datasets(start, seeds.name, evolution, evolver)

    def add_evolved_datasets(
        self, start: Step, seeds: str, evolution: Evolution, evolver: str
    ) -> Iterator[tuple[InstructionDataset, Taken]]:
        """Yield the data sets of one evolver with one method."""
        several = len(self.study.evolution) > 1
        subject = " ".join([seeds, *([evolution.name] if several else []), evolver])
        rounds = METHODS[evolution.method](self, EvolutionInputs(evolution, evolver, start, subject))
        for number, evolved in enumerate(rounds, 1):
            yield from self.add_datasets(SetOrigin(seeds, evolution.name, evolver, number), evolved)

    def add_datasets(self, origin: SetOrigin, evolved: EvolvedRound) -> Iterator[tuple[InstructionDataset, Taken]]:
        """Yield the data sets of one round: its instructions, answered in all ways."""
        draws = evolved.autoif.block.responses if evolved.autoif else 1
        for answering in self.answerings:
            place = place_of(*origin, answering)
            trainings = self.filter.take(place)
            if trainings is None and place not in self.parts_of_unions:
                continue
            responses = add_responses(self, evolved.instructions, answering, draws)
            if evolved.autoif:
                responses = evolved.autoif.check(responses, origin.evolver)
            pairs = self.add_dataset(place, evolved.instructions, responses, answering.reported_seed)
            yield from self.taken(place, pairs, trainings)

    def add_given_datasets(self, seeds: Seeds, step: Step) -> Iterator[tuple[InstructionDataset, Taken]]:
        """Yield the data sets of existing answers to a seed set."""
        for given in self.study.responses.given:
            place = given_place(seeds.name, given)
            if given.seeds not in (None, seeds.name):
                continue
            trainings = self.filter.take(place)
            if trainings is not None or place in self.parts_of_unions:
                pairs = self.add_dataset(place, step, add_given(self, given, seeds, step))
                yield from self.taken(place, pairs, trainings)

    def taken(
        self, place: SetPlace, pairs: InstructionDataset, trainings: Taken | None
    ) -> Iterator[tuple[InstructionDataset, Taken]]:
        """Yield a data set if it is taken. Remember it if it is a part of a union, on which nothing may be trained."""
        if place in self.parts_of_unions:
            self.parts[place] = pairs
        if trainings is not None:
            yield pairs, trainings if self.parts_of_unions.get(place, True) else {}

    def add_unions(self) -> Iterator[tuple[InstructionDataset, Taken]]:
        """Yield the data sets that unite others, which have been added."""
        for union in self.unions:
            trainings = self.filter.take(union.place)
            if trainings is not None:
                method = self.shown_method(union.place)
                yield add_union(self, union.place, [self.parts[part] for part in union.parts], method), trainings

    def shown_method(self, place: SetPlace) -> str:
        """Return the name of a data set's evolution; empty if the study has only one."""
        return place.method if len(self.study.evolution) > 1 else ""

    def add_dataset(
        self, place: SetPlace, step: Step, responses: Step, answer_seed: int | None = None
    ) -> InstructionDataset:
        """Return the data set of a teacher's answers, with the steps that measure it."""
        judged = self.judging_steps.add_judgements(step)
        rewards = tuple((name, add_reward(self, responses, name)) for name in self.study.rewards)
        measured = tuple(found for add in MEASURES.values() if (found := add(self, step, responses)))
        return InstructionDataset(
            place.seeds,
            self.shown_method(place),
            place.evolver,
            place.round,
            place.teacher,
            place.decoding,
            step,
            responses,
            measured,
            rewards,
            judged,
            answer_seed,
            tuple(add_scores(self, responses)),
        )

    def add_cells(
        self, pairs: InstructionDataset, trainings: Taken, sets: tuple[InstructionDataset, ...]
    ) -> Iterator[Cell]:
        """Yield the cells of a data set. Remember those with a share of its pairs that the study's search may train."""
        for (selection, number, seed), benchmarks in trainings.items():
            if number == NO_STUDENT:
                self.select(pairs, selection, sets, seed, None)
                continue
            student = self.study.students[number]
            yield self.add_cell(pairs, selection, sets, student, seed, benchmarks)
            if seed == seed_values(student.seeds, self.study.seed)[0]:
                self.partial += [
                    self.add_cell(pairs, selection, sets, student, seed, benchmarks, share) for share in self.shares
                ]

    def add_cell(
        self,
        pairs: InstructionDataset,
        selection: str,
        sets: tuple[InstructionDataset, ...],
        student: Student,
        seed: int,
        benchmarks: Iterable[str],
        share: float = 1.0,
    ) -> Cell:
        """Add the training of a student on a share of the pairs of a selection, with its evaluations."""

        def train_on(name: str) -> Step:
            return add_training(self, self.select(pairs, name, sets, seed, student, share), student, seed)

        train = train_on(selection)
        compared = {name: self.rivals.get(name) for name in benchmarks if self.rivals.get(name) != selection}
        rivals = {name: train_on(other) for name, other in compared.items() if other}
        evaluations = self.add_evaluations(student, train, compared, rivals)
        return Cell(pairs, selection, student, train, evaluations, seed if student.has_several_seeds else None, share)

    def select(
        self,
        pairs: InstructionDataset,
        name: str,
        sets: tuple[InstructionDataset, ...],
        seed: int,
        student: Student | None,
        share: float = 1.0,
    ) -> Step:
        """Add a selection from a data set for a student, or for none; return its step."""
        spec, base = self.selections[name], student.model if student else ""
        place = (pairs, name, seed, base, share)
        if place not in self.selection_steps:
            step = add_selection(self, pairs, spec, sets, seed, base, share)
            self.selection_steps[place] = step
            drawn_for = seed if student and student.has_several_seeds and spec.draws else None
            read_for = base if self.study.selects_by_own_base(spec) else ""
            if share == 1:
                self.selected.setdefault(step.key, SelectedSet(pairs, name, step, drawn_for, read_for))
        return self.selection_steps[place]

    def add_base_cells(self) -> Iterator[Cell]:
        for student in self.study.students:
            benchmarks = self.filter.base_benchmarks(student)
            if benchmarks is not None:
                compared = [name for name in benchmarks if name not in self.rivals]
                yield Cell(None, "", student, None, self.add_evaluations(student, None, compared, {}))

    def add_evaluations(
        self, student: Student, train: Step | None, benchmarks: Iterable[str], rivals: Mapping[str, Step]
    ) -> tuple[tuple[str, Step], ...]:
        """Add the evaluations of a student, or of an untuned model. `rivals` are trainings by benchmark."""
        template, add = None if train else self.templates[student.recipe], self.benchmark_steps.add_evaluation
        return tuple((name, add(student.model, train, name, template, rivals.get(name))) for name in benchmarks)

    def left_out(self, sets: tuple[InstructionDataset, ...], cells: tuple[Cell, ...]) -> LeftOut:
        """Return how much of the whole grid is left out. Untuned base models are not counted."""
        if not self.study.is_sparse:
            return LeftOut()
        trained = [cell for cell in cells if cell.train]
        whole_sets = sum(1 for _ in set_places(self.study))
        per_set = sum(place.student != NO_STUDENT for place in cell_places(self.study))
        evaluated = sum(len(cell.evaluations) for cell in trained)
        whole_cells = whole_sets * per_set
        return LeftOut(
            whole_sets - len(sets), whole_cells - len(trained), whole_cells * len(self.study.benchmarks) - evaluated
        )


def needed_steps(
    steps: Mapping[str, Step],
    sets: Iterable[InstructionDataset],
    cells: Iterable[Cell],
    selected: Iterable[SelectedSet],
) -> dict[str, Step]:
    """Return the steps that data sets, selections and cells need, in the given order: others may have been added."""
    wanted = [*(step for pairs in sets for step in pairs.steps), *(one.step for one in selected)]
    wanted += [step for cell in cells for step in (cell.train, *(step for _, step in cell.evaluations)) if step]
    needed: set[str] = set()
    while wanted:
        step = wanted.pop()
        if step.key not in needed:
            needed.add(step.key)
            wanted.extend(step.inputs)
    return {key: step for key, step in steps.items() if key in needed}
