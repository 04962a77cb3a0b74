"""Builds the graph of steps from a study. Cells of the grid share the steps that they have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from bundled.world import WORLD_VERSION
from pipelines.rows.kinds import Kind
from pipelines.rows.readers import hash_files
from pipelines.study.graph.autoif import AutoIFSteps
from pipelines.study.graph.benchmarks import BenchmarkSteps
from pipelines.study.graph.evolution import EvolutionSteps
from pipelines.study.graph.fingerprint import Description, describe, describe_without
from pipelines.study.graph.grid import Cell, Grid, InstructionDataset, SetOrigin
from pipelines.study.graph.identities import encoder_identity, model_identity, reference_identity
from pipelines.study.graph.judging import JudgingSteps
from pipelines.study.graph.params import (
    BestOfNParams,
    ContaminationParams,
    DiversityParams,
    GivenParams,
    RespondParams,
    RewardParams,
    SampleCandidatesParams,
    ScoreParams,
    SeedsParams,
    SelectParams,
    TrainParams,
)
from pipelines.study.graph.prompt_names import ANSWER_PROMPTS, CONSTRAINED_ANSWER_PROMPT, describe_prompts
from pipelines.study.graph.step import Identities, Identity, Part, Step, StepParams, make_step
from pipelines.study.inputs.autoif_instructions import read_autoif_instructions
from pipelines.study.inputs.seeds import (
    OWN_ANSWERS,
    given_rules,
    given_source,
    hub_set,
    reading_rules,
    seed_source,
)
from pipelines.study.inputs.system_prompts import read_system_prompt
from pipelines.study.spec.basics import SamplingSpec, number_label
from pipelines.study.spec.evolution import Evolution
from pipelines.study.spec.recipes import Student
from pipelines.study.spec.responses import BestOfN, DecodingVariant, Given
from pipelines.study.spec.scoring import ScoringOptions
from pipelines.study.spec.seeds import Seeds
from pipelines.study.spec.selection import Selection
from pipelines.study.spec.study import Study

GIVEN_DECODING = "given"


def build(study: Study, folder: Path) -> Grid:
    """Return the grid of a study whose file is in `folder`."""
    return GridBuilder(study, folder).grid()


class EvolutionInputs(NamedTuple):
    """The input of an evolution: the evolver evolves the rows of `start`. `subject` names both in the steps' labels."""

    evolution: Evolution
    evolver: str
    start: Step
    subject: str


class EvolvedRound(NamedTuple):
    """The step whose rows are the instructions of a round, and for AutoIF the builder of the answers' check."""

    instructions: Step
    autoif: AutoIFSteps | None = None


class GridBuilder:
    """Adds steps to the grid of a study. `models` has the models' descriptions by name."""

    def __init__(self, study: Study, folder: Path) -> None:
        self.study, self.folder = study, folder
        self.steps: dict[str, Step] = {}
        self.identify = Identities()
        self.models = {name: describe(model_identity(model, folder)) for name, model in study.models.items()}
        self.recipes = {name: describe(recipe) for name, recipe in study.recipes.items()}
        self.benchmark_steps = BenchmarkSteps(study, folder, self.models, self.identify, self.add)
        self.system = read_system_prompt(folder, study.responses.system)
        judge_system = read_system_prompt(folder, study.judging.system if study.judging else None)
        self.judging_steps = JudgingSteps(
            study.judging, study.instruction_reward, self.models, self.identify, self.add, judge_system
        )

    def grid(self) -> Grid:
        sets = tuple(self.datasets())
        cells = (*self.add_base_cells(), *(cell for pairs in sets for cell in self.add_cells(pairs, sets)))
        return Grid(self.steps, sets, cells)

    def add(self, identity: Identity, subject: str, params: StepParams, *inputs: Step) -> Step:
        """Return the step of this identity with these inputs; add it to the grid if it is new."""
        step = make_step(identity, subject, params, inputs)
        return self.steps.setdefault(step.key, step)

    def datasets(self) -> Iterator[InstructionDataset]:
        for seeds in self.study.seeds:
            start = self.add_seeds(seeds)
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

    def evolve_by_rounds(self, inputs: EvolutionInputs) -> Iterator[EvolvedRound]:
        """Add Evol-Instruct's rounds, with the named methods or an optimized one."""
        system = read_system_prompt(self.folder, inputs.evolution.system)
        steps = EvolutionSteps(inputs.evolution, self.study.seed, self.models, self.identify, self.add, system)
        step, optimize_step = inputs.start, steps.optimize(inputs.start, inputs.subject, inputs.evolver)
        for number in range(1, inputs.evolution.rounds + 1):
            step = steps.evolve_round(step, optimize_step, inputs.subject, inputs.evolver, number)
            yield EvolvedRound(step)

    def pair_with_formats(self, inputs: EvolutionInputs) -> Iterator[EvolvedRound]:
        """Add AutoIF's single round."""
        formats = read_autoif_instructions(self.folder, inputs.evolution)
        system = read_system_prompt(self.folder, inputs.evolution.system)
        steps = AutoIFSteps(inputs.evolution, formats, self.study.seed, self.models, self.identify, self.add, system)
        yield EvolvedRound(steps.pair(inputs.start, inputs.subject, inputs.evolver), steps)

    def add_datasets(
        self, origin: SetOrigin, step: Step, autoif: AutoIFSteps | None = None
    ) -> Iterator[InstructionDataset]:
        draws = autoif.block.responses if autoif else 1
        for teacher in self.study.responses.teachers:
            for variant in self.study.responses.variants:
                responses = self.add_responses(step, teacher, variant, draws)
                if autoif:
                    responses = autoif.check(responses, origin.evolver)
                yield self.add_dataset(origin, teacher, variant.name, step, responses)

    def add_given_datasets(self, seeds: Seeds, step: Step) -> Iterator[InstructionDataset]:
        """Yield the data sets of existing answers to a seed set."""
        for given in self.study.responses.given:
            if given.seeds in (None, seeds.name):
                parts = self._describe_given(given, seeds)
                match = given.match if given.file else "row"
                identity = self.identify(GivenParams, column=given.column, match=match, **parts)
                job = GivenParams(given, seeds)
                answers = self.add(identity, f"{step.subject} / {given.name}", job, step)
                origin = SetOrigin(seeds.name, "", "", 0)
                yield self.add_dataset(origin, given.name, GIVEN_DECODING, step, answers)

    def add_dataset(
        self, origin: SetOrigin, teacher: str, decoding: str, step: Step, responses: Step
    ) -> InstructionDataset:
        """Return the data set of a teacher's answers, with the steps that measure it."""
        judged = self.judging_steps.add_judgements(step)
        rewards = tuple((name, self.add_reward(responses, name)) for name in self.study.rewards)
        measured = tuple(found for add in MEASURES.values() if (found := add(self, step, responses)))
        return InstructionDataset(*origin, teacher, decoding, step, responses, measured, rewards, judged)

    def add_seeds(self, seeds: Seeds) -> Step:
        source: dict[str, Part] = (
            {"world": seeds.world, "world_version": WORLD_VERSION, "seed": self.study.seed}
            if seeds.world
            else self._describe_files(seeds)
        )
        identity = self.identify(SeedsParams, limit=seeds.limit, on_bad_row=seeds.on_bad_row, **source)
        return self.add(identity, seeds.name, SeedsParams(seeds))

    def _describe_files(self, seeds: Seeds) -> dict[str, Part]:
        hub, rules = hub_set(seeds), describe(reading_rules(seeds))
        content = {"hub": describe(hub)} if hub else {"sha256": hash_files(seed_source(seeds, self.folder).files)}
        return {**content, "rules": rules, "deduplicate": seeds.deduplicate}

    def _describe_given(self, given: Given, seeds: Seeds) -> dict[str, Part]:
        hub, rules = hub_set(seeds), describe(given_rules(given, seeds))
        if hub and given.file is None and given.column != OWN_ANSWERS:
            return {"hub": describe(hub), "rules": rules}
        source = given_source(given, seeds, self.folder)
        return {"sha256": hash_files(source.files), "rules": rules} if source else {}

    def add_responses(self, step: Step, teacher: str, variant: DecodingVariant, draws: int) -> Step:
        if variant.best_of_n:
            return self.add_best_of_n(step, teacher, variant, variant.best_of_n)
        prompt_names = (CONSTRAINED_ANSWER_PROMPT,) if step.kind == "pair" else ANSWER_PROMPTS
        identity = self.identify(
            RespondParams,
            prompts=describe_prompts(*prompt_names),
            model=self.models[teacher],
            sampling=variant.sampling,
            seed=self.study.seed,
            draws=draws,
            system=self.system,
        )
        job = RespondParams(teacher, variant.sampling, draws, self.system)
        return self.add(identity, f"{step.subject} / {teacher} {variant.name}", job, step)

    def add_best_of_n(self, step: Step, teacher: str, variant: DecodingVariant, best_of_n: BestOfN) -> Step:
        candidates = self.add_candidates(step, teacher, variant.sampling, best_of_n.candidates)
        identity = self.identify(BestOfNParams, pick=best_of_n.rule, model=self.models[best_of_n.reward])
        job = BestOfNParams(best_of_n.reward, best_of_n.rule)
        return self.add(identity, f"{step.subject} / {teacher} {variant.name}", job, candidates)

    def add_candidates(self, step: Step, teacher: str, sampling: SamplingSpec, candidates: int) -> Step:
        """Add the step that samples a teacher's candidates. All steps that choose among them share it."""
        identity = self.identify(
            SampleCandidatesParams,
            prompts=describe_prompts(*ANSWER_PROMPTS),
            model=self.models[teacher],
            sampling=sampling,
            seed=self.study.seed,
            candidates=candidates,
            system=self.system,
        )
        drawn = f"t{number_label(sampling.temperature)} p{number_label(sampling.top_p)}"
        subject = f"{step.subject} / {teacher} {candidates} at {drawn}"
        return self.add(identity, subject, SampleCandidatesParams(teacher, sampling, candidates, self.system), step)

    def add_reward(self, responses: Step, model: str) -> Step:
        identity = self.identify(RewardParams, model=self.models[model])
        return self.add(identity, f"{responses.subject} by {model}", RewardParams(model), responses)

    def add_score(self, responses: Step) -> Step | None:
        if self.study.scoring is None:
            return None
        scorer = self.study.scoring.scorer
        options = ScoringOptions(**self.study.scoring.model_dump(exclude={"scorer"}))
        identity = self.identify(ScoreParams, options=options, model=self.models[scorer])
        return self.add(identity, responses.subject, ScoreParams(scorer, options), responses)

    @cached_property
    def encoder(self) -> Description:
        """The identity of the encoder of the study's `diversity` block."""
        assert self.study.diversity is not None
        return describe(encoder_identity(self.study.diversity, self.folder))

    @cached_property
    def references(self) -> Description:
        """The identities of the texts that the study's `contamination` block compares with."""
        assert self.study.contamination is not None
        return describe(
            [reference_identity(self.study, self.folder, name) for name in self.study.contamination.against]
        )

    def add_diversity(self, instructions: Step) -> Step | None:
        block = self.study.diversity
        if block is None:
            return None
        identity = self.identify(DiversityParams, encoder=self.encoder)
        return self.add(identity, instructions.subject, DiversityParams(block), instructions)

    def add_contamination(self, instructions: Step) -> Step | None:
        block = self.study.contamination
        if block is None:
            return None
        diversity = self.add_diversity(instructions) if block.near else None
        identity = self.identify(
            ContaminationParams, against=self.references, ngrams=tuple(block.ngrams), near=block.near
        )
        needs = (instructions, *([diversity] if diversity else []))
        return self.add(identity, instructions.subject, ContaminationParams(block), *needs)

    def add_selection(
        self, pairs: InstructionDataset, selection: Selection, sets: tuple[InstructionDataset, ...]
    ) -> Step:
        seed = self.study.seed
        rivals = [other for other in sets if selection.equal and other.seeds == pairs.seeds and other is not pairs]
        truncated = self.study.responses.truncated
        identity = self.identify(
            SelectParams,
            selection=describe_without(selection, "name", "reward"),
            seed=seed,
            truncated=truncated,
        )
        needs = [step for one in (pairs, *rivals) for step in one.required_steps(selection)]
        return self.add(
            identity, f"{pairs.responses.subject} / {selection.name}", SelectParams(selection, seed, truncated), *needs
        )

    def add_cells(self, pairs: InstructionDataset, sets: tuple[InstructionDataset, ...]) -> Iterator[Cell]:
        for selection in self.study.selection if self.study.students else ():
            selected = self.add_selection(pairs, selection, sets)
            for student in self.study.students:
                train = self.add_training(selected, student)
                yield Cell(pairs, selection.name, student, train, self.add_evaluations(student, train))

    def add_training(self, selected: Step, student: Student) -> Step:
        recipe, seed = self.study.recipes[student.recipe], self.study.seed
        thoughts = self.study.responses.thinking == "train"
        identity = self.identify(
            TrainParams,
            recipe=self.recipes[student.recipe],
            model=self.models[student.model],
            seed=seed,
            thoughts=thoughts,
        )
        subject = f"{student.model} {student.recipe} on {selected.subject}"
        return self.add(
            identity, subject, TrainParams(student.model, recipe, seed, student.resources, thoughts), selected
        )

    def add_base_cells(self) -> Iterator[Cell]:
        for student in self.study.students:
            yield Cell(None, "", student, None, self.add_evaluations(student, None))

    def add_evaluations(self, student: Student, train: Step | None) -> tuple[tuple[str, Step], ...]:
        return tuple(
            (bench.name, self.benchmark_steps.add_evaluation(student.model, train, bench))
            for bench in self.study.benchmarks
        )


Method = Callable[[GridBuilder, EvolutionInputs], Iterator[EvolvedRound]]
METHODS: dict[str, Method] = {
    "evol-instruct": GridBuilder.evolve_by_rounds,
    "auto-evol-instruct": GridBuilder.evolve_by_rounds,
    "autoif": GridBuilder.pair_with_formats,
}
"""The function that adds the steps of each method of evolution, round by round."""

Measure = Callable[[GridBuilder, Step, Step], Step | None]
MEASURES: dict[Kind, Measure] = {
    "diversity": lambda builder, instructions, _: builder.add_diversity(instructions),
    "contamination": lambda builder, instructions, _: builder.add_contamination(instructions),
    "score": lambda builder, _, responses: builder.add_score(responses),
}
"""The function that adds each measure of instructions or pairs; it returns None if the study does not request it."""
