"""Adds the steps that measure instructions and pairs."""

from __future__ import annotations

from collections.abc import Callable

from pipelines.rows.kinds import Kind
from pipelines.study.graph.builders.step_builder import StepBuilder
from pipelines.study.graph.steps.params.measures import ContaminationParams, DiversityParams, RewardParams, ScoreParams
from pipelines.study.graph.steps.step import Step
from pipelines.study.spec.pairs.scoring import ScoringOptions


def add_reward(builder: StepBuilder, responses: Step, model: str) -> Step:
    identity = builder.identify(RewardParams, model=builder.models[model])
    return builder.add(identity, f"{responses.subject} by {model}", RewardParams(model), responses)


def add_score(builder: StepBuilder, responses: Step) -> Step | None:
    if builder.study.scoring is None:
        return None
    scorer = builder.study.scoring.scorer
    options = ScoringOptions(**builder.study.scoring.model_dump(exclude={"scorer"}))
    identity = builder.identify(ScoreParams, options=options, model=builder.models[scorer])
    return builder.add(identity, responses.subject, ScoreParams(scorer, options), responses)


def add_diversity(builder: StepBuilder, instructions: Step) -> Step | None:
    block = builder.study.diversity
    if block is None:
        return None
    identity = builder.identify(DiversityParams, encoder=builder.encoder)
    return builder.add(identity, instructions.subject, DiversityParams(block), instructions)


def add_contamination(builder: StepBuilder, instructions: Step) -> Step | None:
    block = builder.study.contamination
    if block is None:
        return None
    diversity = add_diversity(builder, instructions) if block.near else None
    identity = builder.identify(
        ContaminationParams, against=builder.references, ngrams=tuple(block.ngrams), near=block.near
    )
    needs = (instructions, *([diversity] if diversity else []))
    return builder.add(identity, instructions.subject, ContaminationParams(block), *needs)


Measure = Callable[[StepBuilder, Step, Step], Step | None]
MEASURES: dict[Kind, Measure] = {
    "diversity": lambda builder, instructions, _: add_diversity(builder, instructions),
    "contamination": lambda builder, instructions, _: add_contamination(builder, instructions),
    "score": lambda builder, _, responses: add_score(builder, responses),
}
"""The function that adds each measure of instructions or pairs; it returns None if the study does not request it."""
