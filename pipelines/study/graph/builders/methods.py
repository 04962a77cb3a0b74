"""Adds the steps of the methods of evolution."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from pipelines.study.graph.builders.autoif import AutoIFSteps
from pipelines.study.graph.builders.evolution import EvolutionSteps
from pipelines.study.graph.builders.step_builder import StepBuilder
from pipelines.study.graph.steps.step import Step
from pipelines.study.spec.instructions.evolution import Evolution


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


def evolve_by_rounds(builder: StepBuilder, inputs: EvolutionInputs) -> Iterator[EvolvedRound]:
    """Add Evol-Instruct's rounds, with the named methods or an optimized one."""
    steps = EvolutionSteps(builder, inputs.evolution)
    step, optimize_step = inputs.start, steps.optimize(inputs.start, inputs.subject, inputs.evolver)
    for number in range(1, inputs.evolution.rounds + 1):
        step = steps.evolve_round(step, optimize_step, inputs.subject, inputs.evolver, number)
        yield EvolvedRound(step)


def pair_with_formats(builder: StepBuilder, inputs: EvolutionInputs) -> Iterator[EvolvedRound]:
    """Add AutoIF's single round."""
    steps = AutoIFSteps(builder, inputs.evolution)
    yield EvolvedRound(steps.pair(inputs.start, inputs.subject, inputs.evolver), steps)


Method = Callable[[StepBuilder, EvolutionInputs], Iterator[EvolvedRound]]
METHODS: dict[str, Method] = {
    "evol-instruct": evolve_by_rounds,
    "auto-evol-instruct": evolve_by_rounds,
    "autoif": pair_with_formats,
}
"""The function that adds the steps of each method of evolution, round by round."""
