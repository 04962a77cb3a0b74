"""Adds the steps that measure instructions and pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pipelines.rows.kinds import Kind
from pipelines.study.graph.builders.step_builder import StepBuilder
from pipelines.study.graph.steps.fingerprint import describe, describe_without
from pipelines.study.graph.steps.grid import ScoreStep
from pipelines.study.graph.steps.identities import tokenizer_identity
from pipelines.study.graph.steps.params.measures import (
    ContaminationParams,
    DiversityParams,
    LengthsParams,
    RewardParams,
    ScoreParams,
)
from pipelines.study.graph.steps.step import Step
from pipelines.study.spec.pairs.scoring import Scoring


def add_reward(builder: StepBuilder, responses: Step, model: str) -> Step:
    identity = builder.identify(RewardParams, model=builder.models[model])
    return builder.add(identity, f"{responses.subject} by {model}", RewardParams(model), responses)


def add_scores(builder: StepBuilder, responses: Step) -> Iterator[ScoreStep]:
    """Add a step for each scorer of the study, and for each model of those that are the students' own bases."""
    several = len(builder.study.scoring) > 1
    for scoring in builder.study.scoring:
        models = scoring.models(builder.study.bases)
        for model in models:
            scorer = (scoring.label, *([model] if len(models) > 1 else []))
            subject = " ".join([responses.subject, *(["by", *scorer] if several or len(models) > 1 else [])])
            yield ScoreStep(
                scoring.label, model, _add_score(builder, responses, scoring, model, subject), scoring.options
            )


def _add_score(builder: StepBuilder, responses: Step, scoring: Scoring, model: str, subject: str) -> Step:
    options = describe_without(scoring.options, *([] if scoring.truncate else ["truncate"]))
    identity = builder.identify(ScoreParams, options=options, model=builder.models[model])
    return builder.add(identity, subject, ScoreParams(model, scoring.options), responses)


def add_lengths(builder: StepBuilder, responses: Step) -> Step | None:
    block = builder.study.lengths
    if block is None:
        return None
    tokenizer = describe(tokenizer_identity(builder.study.models[block.tokenizer], builder.folder))
    identity = builder.identify(LengthsParams, tokenizer=tokenizer)
    return builder.add(identity, responses.subject, LengthsParams(block.tokenizer), responses)


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
    "lengths": lambda builder, _, responses: add_lengths(builder, responses),
    "diversity": lambda builder, instructions, _: add_diversity(builder, instructions),
    "contamination": lambda builder, instructions, _: add_contamination(builder, instructions),
}
"""The function that adds each measure of instructions or pairs; it returns None if the study does not request it."""
