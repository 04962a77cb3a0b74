"""Adds AutoIF's steps: generate and verify format instructions, pair them with queries, and check the answers."""

from __future__ import annotations

from pipelines.study.graph.builders.step_builder import StepBuilder
from pipelines.study.graph.steps.params.answers import CheckParams
from pipelines.study.graph.steps.params.instructions import AugmentParams, PairParams, VerifyParams
from pipelines.study.graph.steps.prompt_names import (
    AUTOIF_AUGMENT,
    AUTOIF_BACK_TRANSLATE,
    AUTOIF_MATERIAL,
    AUTOIF_SCORE,
    describe_prompts,
)
from pipelines.study.graph.steps.step import Step
from pipelines.study.inputs.autoif_instructions import read_autoif_instructions
from pipelines.study.inputs.system_prompts import read_system_prompt
from pipelines.study.spec.instructions.autoif import AutoIF
from pipelines.study.spec.instructions.evolution import Evolution


class AutoIFSteps:
    """Adds the steps of one evolution to a study's grid. `instructions` are its hand-written format instructions."""

    def __init__(self, builder: StepBuilder, spec: Evolution) -> None:
        self.builder, self.spec = builder, spec
        self.instructions = read_autoif_instructions(builder.folder, spec)
        self.system = read_system_prompt(builder.folder, spec.system)

    @property
    def block(self) -> AutoIF:
        """The `autoif` block of the evolution."""
        assert self.spec.autoif is not None
        return self.spec.autoif

    def pair(self, start: Step, subject: str, evolver: str) -> Step:
        """Return the step whose rows the teachers answer: the seeds of `start`, each with a verified instruction."""
        verified = self.verify(self.augment(evolver), evolver)
        identity = self.builder.identify(
            PairParams,
            rules=self.block.rules,
            queries=self.block.queries,
            seed=self.builder.study.seed,
        )
        return self.builder.add(
            identity,
            subject,
            PairParams(self.block.rules, self.block.queries, self.builder.study.seed),
            verified,
            start,
        )

    def augment(self, evolver: str) -> Step:
        """Return the step that generates new instructions from the given ones."""
        job = AugmentParams(
            evolver, self.instructions, self.block.runs, self.spec.sampling, self.builder.study.seed, self.system
        )
        identity = self.builder.identify(
            AugmentParams,
            instructions=job.instructions,
            runs=job.runs,
            system=job.system,
            sampling=job.sampling,
            prompts=describe_prompts(self.builder.catalog, AUTOIF_AUGMENT),
            model=self.builder.models[evolver],
            seed=job.seed,
        )
        return self.builder.add(identity, f"{self.spec.name} {evolver}", job)

    def verify(self, augmented: Step, evolver: str) -> Step:
        """Return the step that generates functions that check the instructions, and drops instructions without one."""
        block, prompt_names = self.block, (AUTOIF_MATERIAL, *((AUTOIF_BACK_TRANSLATE,) if self.block.nli else ()))
        job = VerifyParams(
            evolver,
            block.nli,
            block.rules,
            block.generations,
            self.spec.sampling,
            block.sandbox,
            self.builder.study.seed,
            self.system,
        )
        identity = self.builder.identify(
            VerifyParams,
            rules=job.rules,
            generations=job.generations,
            system=job.system,
            sampling=job.sampling,
            level=job.level,
            prompts=describe_prompts(self.builder.catalog, *prompt_names),
            model=self.builder.models[evolver],
            nli=self.builder.models[job.nli] if job.nli else None,
            seed=job.seed,
        )
        return self.builder.add(identity, augmented.subject, job, augmented)

    def check(self, answered: Step, evolver: str) -> Step:
        """Return the step that keeps the answers that pass, or `answered` itself if the rules check no answers."""
        block = self.block
        if not block.checks_answers:
            return answered
        judge = block.judge or evolver
        job = CheckParams(
            judge, block.rules, block.judgements, self.spec.sampling, block.sandbox, self.builder.study.seed
        )
        identity = self.builder.identify(
            CheckParams,
            rules=job.rules,
            judgements=job.judgements,
            sampling=job.sampling,
            level=job.level,
            prompts=describe_prompts(self.builder.catalog, AUTOIF_SCORE),
            model=self.builder.models[judge],
            seed=job.seed,
        )
        return self.builder.add(identity, answered.subject, job, answered)
