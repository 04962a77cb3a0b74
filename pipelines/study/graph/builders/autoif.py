"""Adds AutoIF's steps: generate and verify format instructions, pair them with queries, and check the answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipelines.study.graph.steps.fingerprint import Description
from pipelines.study.graph.steps.params.answers import CheckParams
from pipelines.study.graph.steps.params.instructions import AugmentParams, PairParams, VerifyParams
from pipelines.study.graph.steps.prompt_names import (
    AUTOIF_AUGMENT,
    AUTOIF_BACK_TRANSLATE,
    AUTOIF_MATERIAL,
    AUTOIF_SCORE,
    describe_prompts,
)
from pipelines.study.graph.steps.step import AddStep, Identities, Step
from pipelines.study.spec.instructions.autoif import AutoIF
from pipelines.study.spec.instructions.evolution import Evolution
from prompts import STANDARD_CATALOG, Catalog


@dataclass(frozen=True)
class AutoIFSteps:
    """Adds the steps of one evolution to a study's grid.

    `models` has the models' identities by name; `instructions` are the study's hand-written format instructions.
    `system` is the evolvers' system prompt, `catalog` has the study's prompts.
    """

    spec: Evolution
    instructions: tuple[str, ...]
    seed: int
    models: Mapping[str, Description]
    identify: Identities
    add: AddStep
    system: str = ""
    catalog: Catalog = STANDARD_CATALOG

    @property
    def block(self) -> AutoIF:
        """The `autoif` block of the evolution."""
        assert self.spec.autoif is not None
        return self.spec.autoif

    def pair(self, start: Step, subject: str, evolver: str) -> Step:
        """Return the step whose rows the teachers answer: the seeds of `start`, each with a verified instruction."""
        verified = self.verify(self.augment(evolver), evolver)
        identity = self.identify(
            PairParams,
            rules=self.block.rules,
            queries=self.block.queries,
            seed=self.seed,
        )
        return self.add(identity, subject, PairParams(self.block.rules, self.block.queries, self.seed), verified, start)

    def augment(self, evolver: str) -> Step:
        """Return the step that generates new instructions from the given ones."""
        job = AugmentParams(evolver, self.instructions, self.block.runs, self.spec.sampling, self.seed, self.system)
        identity = self.identify(
            AugmentParams,
            instructions=job.instructions,
            runs=job.runs,
            system=job.system,
            sampling=job.sampling,
            prompts=describe_prompts(self.catalog, AUTOIF_AUGMENT),
            model=self.models[evolver],
            seed=job.seed,
        )
        return self.add(identity, f"{self.spec.name} {evolver}", job)

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
            self.seed,
            self.system,
        )
        identity = self.identify(
            VerifyParams,
            rules=job.rules,
            generations=job.generations,
            system=job.system,
            sampling=job.sampling,
            level=job.level,
            prompts=describe_prompts(self.catalog, *prompt_names),
            model=self.models[evolver],
            nli=self.models[job.nli] if job.nli else None,
            seed=job.seed,
        )
        return self.add(identity, augmented.subject, job, augmented)

    def check(self, answered: Step, evolver: str) -> Step:
        """Return the step that keeps the answers that pass, or `answered` itself if the rules check no answers."""
        block = self.block
        if not block.checks_answers:
            return answered
        judge = block.judge or evolver
        job = CheckParams(judge, block.rules, block.judgements, self.spec.sampling, block.sandbox, self.seed)
        identity = self.identify(
            CheckParams,
            rules=job.rules,
            judgements=job.judgements,
            sampling=job.sampling,
            level=job.level,
            prompts=describe_prompts(self.catalog, AUTOIF_SCORE),
            model=self.models[judge],
            seed=job.seed,
        )
        return self.add(identity, answered.subject, job, answered)
