"""The study becomes a graph of steps. Cells of the grid share the steps that they have in common."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bundled.world import WORLD_VERSION
from pipelines.study.graph.autoif import AutoIFSteps
from pipelines.study.graph.benchmarks import BenchmarkSteps
from pipelines.study.graph.evolution import EvolutionSteps
from pipelines.study.graph.fingerprint import hash_file
from pipelines.study.graph.grid import Cell, Grid, PairSet, Source
from pipelines.study.graph.identities import encoder_identity, identity, reference_identity
from pipelines.study.graph.judging import JudgingSteps
from pipelines.study.graph.params import (
    ChooseJob,
    ContaminationJob,
    DiversityJob,
    DrawJob,
    Job,
    RespondJob,
    RewardJob,
    ScoreJob,
    SeedsJob,
    SelectJob,
    TrainJob,
)
from pipelines.study.graph.prompt_names import ANSWERING, CONSTRAINED, digests
from pipelines.study.graph.step import Identity, Kind, Payload, Step, identify, make_step
from pipelines.study.inputs.autoif_instructions import read_formats
from pipelines.study.spec.basics import SamplingSpec
from pipelines.study.spec.evolution import Evolution
from pipelines.study.spec.recipes import Student
from pipelines.study.spec.responses import Choice, Way
from pipelines.study.spec.scoring import ScoringOptions
from pipelines.study.spec.selection import Selection
from pipelines.study.spec.study import Seeds, Study


def build(study: Study, folder: Path) -> Grid:
    """The grid of a study whose file lies in `folder`."""
    return _Builder(study, folder).grid()


class _Builder:
    def __init__(self, study: Study, folder: Path) -> None:
        self.study, self.folder = study, folder
        self.steps: dict[str, Step] = {}
        self.identities: dict[tuple[str, ...], Identity] = {}
        self.models = {name: identity(model, folder) for name, model in study.models.items()}
        self.examined = BenchmarkSteps(study, folder, self.models, self.identify, self.add)
        self.judging = JudgingSteps(study.judging, study.instruction_reward, self.models, self.identify, self.add)

    def grid(self) -> Grid:
        sets = tuple(self.sets())
        cells = (*self.bases(), *(cell for pairs in sets for cell in self.cells(pairs, sets)))
        return Grid(self.steps, sets, cells)

    def add(self, identity: Identity, subject: str, job: Job, *inputs: Step) -> Step:
        step = make_step(identity, subject, job, inputs)
        return self.steps.setdefault(step.key, step)

    def identify(self, kind: Kind, *names: str, payload: Payload) -> Identity:
        """The identity that all steps of a kind with these names share, made once."""
        place = (kind, *names)
        if place not in self.identities:
            self.identities[place] = identify(kind, payload())
        return self.identities[place]

    def sets(self) -> Iterator[PairSet]:
        for seeds in self.study.seeds:
            start = self.seeds(seeds)
            if self.study.responses.answer_seeds:
                yield from self.answered((seeds.name, "", "", 0), start)
            for evolution in self.study.evolution:
                for evolver in evolution.evolvers:
                    yield from self.evolved(start, seeds.name, evolution, evolver)

    def evolved(self, start: Step, seeds: str, evolution: Evolution, evolver: str) -> Iterator[PairSet]:
        """The sets of one evolver by one method."""
        several = len(self.study.evolution) > 1
        subject = " ".join([seeds, *([evolution.name] if several else []), evolver])
        common = (self.study.seed, self.models, self.identify, self.add)
        method = evolution.name if several else ""
        if evolution.method == "autoif":
            steps = AutoIFSteps(evolution, read_formats(self.folder, evolution), *common)
            paired = steps.pairs(start, subject, evolver)
            yield from self.answered((seeds, method, evolver, 1), paired, steps)
            return
        steps = EvolutionSteps(evolution, *common)
        step, found = start, steps.optimize(start, subject, evolver)
        for number in range(1, evolution.rounds + 1):
            step = steps.round(step, found, subject, evolver, number)
            yield from self.answered((seeds, method, evolver, number), step)

    def answered(self, of: Source, step: Step, formats: AutoIFSteps | None = None) -> Iterator[PairSet]:
        draws = formats.block.responses if formats else 1
        for teacher in self.study.responses.teachers:
            for way in self.study.responses.ways:
                responses = self.respond(step, teacher, way, draws)
                if formats:
                    responses = formats.check(responses, of[2])
                judged = self.judging.of(step)
                rewards = tuple((name, self.reward(responses, name)) for name in self.study.rewards)
                shared = (diversity := self.diversity(step)), self.contamination(step, diversity)
                yield PairSet(*of, teacher, way.name, step, responses, self.score(responses), *shared, rewards, judged)

    def seeds(self, seeds: Seeds) -> Step:
        def payload() -> dict[str, Any]:
            common = {"limit": seeds.limit, "on_bad_row": seeds.on_bad_row}
            if seeds.file:
                return common | {"sha256": hash_file(self.folder / seeds.file)}
            return common | {"world": seeds.world, "world_version": WORLD_VERSION, "seed": self.study.seed}

        return self.add(self.identify("seeds", seeds.name, payload=payload), seeds.name, SeedsJob(seeds))

    def respond(self, step: Step, teacher: str, way: Way, draws: int) -> Step:
        if way.choice:
            return self.choose(step, teacher, way, way.choice)
        asked = (CONSTRAINED,) if step.kind == "pair" else ANSWERING
        identity = self.identify(
            "respond",
            teacher,
            way.name,
            *asked,
            str(draws),
            payload=lambda: self.answering(teacher, way.sampling, asked) | {"draws": draws},
        )
        job = RespondJob(teacher, way.sampling, draws)
        return self.add(identity, f"{step.subject} / {teacher} {way.name}", job, step)

    def answering(self, teacher: str, sampling: SamplingSpec, asked: tuple[str, ...]) -> dict[str, Any]:
        """What every answer depends on."""
        common = {"model": self.models[teacher], "sampling": sampling, "seed": self.study.seed}
        return {"prompts": digests(asked)} | common

    def choose(self, step: Step, teacher: str, way: Way, choice: Choice) -> Step:
        drawn = self.draw(step, teacher, way.sampling, choice.candidates)
        identity = self.identify(
            "choose",
            choice.pick,
            choice.reward,
            payload=lambda: {"pick": choice.pick, "model": self.models[choice.reward]},
        )
        job = ChooseJob(choice.reward, choice.pick)
        return self.add(identity, f"{step.subject} / {teacher} {way.name}", job, drawn)

    def draw(self, step: Step, teacher: str, sampling: SamplingSpec, candidates: int) -> Step:
        """The candidates of a teacher, which all choices among them share."""
        how = (f"{sampling.temperature:g}", f"{sampling.top_p:g}", str(sampling.max_tokens))
        identity = self.identify(
            "draw",
            teacher,
            *how,
            str(candidates),
            payload=lambda: self.answering(teacher, sampling, ANSWERING) | {"candidates": candidates},
        )
        subject = f"{step.subject} / {teacher} {candidates} at t{how[0]} p{how[1]}"
        return self.add(identity, subject, DrawJob(teacher, sampling, candidates), step)

    def reward(self, responses: Step, model: str) -> Step:
        identity = self.identify("reward", model, payload=lambda: {"model": self.models[model]})
        return self.add(identity, f"{responses.subject} by {model}", RewardJob(model), responses)

    def score(self, responses: Step) -> Step | None:
        if self.study.scoring is None:
            return None
        scorer = self.study.scoring.scorer
        options = ScoringOptions(**self.study.scoring.model_dump(exclude={"scorer"}))
        identity = self.identify("score", scorer, payload=lambda: {"options": options, "model": self.models[scorer]})
        return self.add(identity, responses.subject, ScoreJob(scorer, options), responses)

    def diversity(self, instructions: Step) -> Step | None:
        block = self.study.diversity
        if block is None:
            return None
        identity = self.identify("diversity", payload=lambda: {"encoder": encoder_identity(block, self.folder)})
        return self.add(identity, instructions.subject, DiversityJob(block), instructions)

    def contamination(self, instructions: Step, diversity: Step | None) -> Step | None:
        block = self.study.contamination
        if block is None:
            return None
        identity = self.identify(
            "contamination",
            payload=lambda: {
                "against": [reference_identity(self.study, self.folder, name) for name in block.against],
                "ngrams": block.ngrams,
                "near": block.near,
            },
        )
        needs = (instructions, *([diversity] if block.near and diversity else []))
        return self.add(identity, instructions.subject, ContaminationJob(block), *needs)

    def select(self, pairs: PairSet, selection: Selection, sets: tuple[PairSet, ...]) -> Step:
        seed = self.study.seed
        rivals = [other for other in sets if selection.equal and other.seeds == pairs.seeds and other is not pairs]
        identity = self.identify(
            "select",
            selection.name,
            payload=lambda: {"selection": selection.model_dump(exclude={"name", "reward"}), "seed": seed},
        )
        needs = [step for one in (pairs, *rivals) for step in one.needed(selection)]
        return self.add(identity, f"{pairs.responses.subject} / {selection.name}", SelectJob(selection, seed), *needs)

    def cells(self, pairs: PairSet, sets: tuple[PairSet, ...]) -> Iterator[Cell]:
        for selection in self.study.selection if self.study.students else ():
            selected = self.select(pairs, selection, sets)
            for student in self.study.students:
                train = self.train(selected, student)
                yield Cell(pairs, selection.name, student, train, self.evaluations(student, train))

    def train(self, selected: Step, student: Student) -> Step:
        recipe, seed = self.study.recipes[student.recipe], self.study.seed
        identity = self.identify(
            "train",
            student.model,
            student.recipe,
            payload=lambda: {"recipe": recipe, "model": self.models[student.model], "seed": seed},
        )
        subject = f"{student.model} {student.recipe} on {selected.subject}"
        return self.add(identity, subject, TrainJob(student.model, recipe, seed, student.place), selected)

    def bases(self) -> Iterator[Cell]:
        for student in self.study.students:
            yield Cell(None, "", student, None, self.evaluations(student, None))

    def evaluations(self, student: Student, train: Step | None) -> tuple[tuple[str, Step], ...]:
        return tuple((bench.name, self.examined.of(student.model, train, bench)) for bench in self.study.benchmarks)
