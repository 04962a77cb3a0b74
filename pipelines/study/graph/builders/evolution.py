"""Adds the steps of an evolution: optimize a method, rewrite the instructions, and revert failed evolutions."""

from __future__ import annotations

from pipelines.study.graph.builders.step_builder import StepBuilder
from pipelines.study.graph.steps.fingerprint import describe_without
from pipelines.study.graph.steps.methods import AUTO, prompt_name, reply_parser, rotation
from pipelines.study.graph.steps.params.instructions import EliminateParams, EvolveParams, OptimizeParams
from pipelines.study.graph.steps.prompt_names import ANSWER_PROMPTS, OPTIMIZER_PROMPTS, describe_prompts
from pipelines.study.graph.steps.step import Step
from pipelines.study.inputs.system_prompts import read_system_prompt
from pipelines.study.spec.instructions.evolution import Evolution


class EvolutionSteps:
    """Adds the steps of one evolution of a study to its grid. `models` has the models' identities by name.

    A `subject` is for display: it names the seeds and the evolver. `system` is the evolvers' system prompt.
    `catalog` has the study's prompts.
    """

    def __init__(self, builder: StepBuilder, spec: Evolution) -> None:
        self.builder, self.spec = builder, spec
        self.system = read_system_prompt(builder.folder, spec.system)

    def optimize(self, start: Step, subject: str, evolver: str) -> Step | None:
        """Return the step that optimizes an evolver's method; None if the study optimizes none."""
        spec = self.spec
        if spec.optimization is None:
            return None
        job = OptimizeParams(
            evolver,
            spec.optimization,
            spec.input,
            spec.sampling.max_tokens,
            self.builder.study.seed,
            spec.turn,
            self.system,
        )
        optimizer = self.builder.models[spec.optimization.optimizer]
        identity = self.builder.identify(
            OptimizeParams,
            optimization=describe_without(job.optimization, "optimizer"),
            input=job.input,
            turn=job.turn,
            system=job.system,
            max_tokens=job.max_tokens,
            prompts=describe_prompts(self.builder.catalog, prompt_name(AUTO), *OPTIMIZER_PROMPTS, *ANSWER_PROMPTS),
            model=self.builder.models[evolver],
            optimizer=optimizer,
            seed=job.seed,
        )
        return self.builder.add(identity, subject, job, start)

    def evolve_round(self, step: Step, optimize_step: Step | None, subject: str, evolver: str, number: int) -> Step:
        """Return the step whose rows are the outcome of a round on the rows of `step`, after any elimination.

        `optimize_step` is the evolver's `optimize` step.
        """
        return self.eliminate(self.evolve(step, optimize_step, subject, evolver, number), evolver)

    def evolve(self, step: Step, optimize_step: Step | None, subject: str, evolver: str, number: int) -> Step:
        """Return the step that rewrites every row once."""
        job = self.evolve_params(evolver, number)
        names = () if optimize_step else tuple(map(prompt_name, job.methods))
        identity = self.builder.identify(
            EvolveParams,
            method=self.spec.method,
            round=number,
            rotation=job.methods,
            assignment=job.assignment,
            input=job.input,
            turn=job.turn,
            growth=job.growth,
            eliminates=job.eliminates,
            on_failure=job.on_failure,
            system=job.system,
            retries=job.retries,
            probabilities=job.probabilities,
            reply_parser=job.parser,
            prompts=describe_prompts(self.builder.catalog, *names, *(ANSWER_PROMPTS if job.eliminates else ())),
            model=self.builder.models[evolver],
            sampling=job.sampling,
            seed=self.builder.study.seed,
        )
        return self.builder.add(
            identity, f"{subject} r{number}", job, step, *([optimize_step] if optimize_step else [])
        )

    def evolve_params(self, evolver: str, number: int) -> EvolveParams:
        """Return the parameters of an evolver's round."""
        spec = self.spec
        return EvolveParams(
            model=evolver,
            round=number,
            methods=rotation(spec.breadth) if spec.method == "evol-instruct" else (AUTO,),
            assignment=spec.assignment,
            input=spec.input,
            growth=spec.growth,
            eliminates=spec.elimination is not None,
            sampling=spec.sampling,
            parser=reply_parser(spec.optimization.variant) if spec.optimization else "",
            probabilities=spec.probabilities,
            turn=spec.turn,
            on_failure=spec.on_failure,
            system=self.system,
            retries=spec.retries if spec.on_failure == "retry" else 0,
        )

    def eliminate(self, evolved: Step, evolver: str) -> Step:
        """Return the step that reverts failed evolutions, or `evolved` itself if the study eliminates none."""
        spec = self.spec.elimination
        if spec is None:
            return evolved
        judge = spec.judge or evolver
        identity = self.builder.identify(
            EliminateParams,
            elimination=describe_without(spec, "judge"),
            prompts=describe_prompts(self.builder.catalog, "equality"),
            model=self.builder.models[judge],
        )
        return self.builder.add(identity, evolved.subject, EliminateParams(judge, spec), evolved)
