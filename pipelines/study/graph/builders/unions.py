"""Adds the steps of data sets that unite others: their rows are joined, and nothing is asked or scored again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipelines.study.graph.builders.measures import MEASURES
from pipelines.study.graph.builders.step_builder import StepBuilder
from pipelines.study.graph.steps.grid import InstructionDataset, ScoreStep
from pipelines.study.graph.steps.params.answers import UnionInstructionsParams, UnionParams
from pipelines.study.graph.steps.step import Step, identify_as
from pipelines.study.sparse.places import SetPlace
from pipelines.study.spec.pairs.scoring import JudgeMetric


def add_union(
    builder: StepBuilder, place: SetPlace, parts: Sequence[InstructionDataset], method: str
) -> InstructionDataset:
    """Return the data set that unites `parts`. `method` is the evolution's name, if the study has several.

    Scores, rewards and judgements are those of the parts. What depends on a whole set, such as its diversity, is
    measured again.
    """
    subject = " ".join(filter(None, (place.seeds, place.union, method, place.evolver, f"r{place.round}")))
    instruction_steps = tuple({one.instructions.key: one.instructions for one in parts}.values())
    instructions = builder.add(
        builder.identify(UnionInstructionsParams), subject, UnionInstructionsParams(), *instruction_steps
    )
    answered = f"{subject} / {place.teacher} {place.decoding}"
    responses = builder.add(
        builder.identify(UnionParams), answered, UnionParams(), instructions, *(one.responses for one in parts)
    )
    return InstructionDataset(
        place.seeds,
        method,
        place.evolver,
        place.round,
        place.teacher,
        place.decoding,
        instructions,
        responses,
        tuple(_measures(builder, parts, instructions, responses)),
        tuple(_rewards(builder, parts, responses)),
        tuple(_judgements(builder, parts, instructions)),
        parts[0].answer_seed,
        tuple(_scores(builder, parts, responses)),
        place.union,
    )


def _measures(
    builder: StepBuilder, parts: Sequence[InstructionDataset], instructions: Step, responses: Step
) -> Iterator[Step]:
    for step in parts[0].measures:
        if not step.params.row_wise:
            found = MEASURES[step.kind](builder, instructions, responses)
            if found:
                yield found
            continue
        of_answers = step.inputs[0].key == parts[0].responses.key
        measured = responses if of_answers else instructions
        yield _join(builder, measured, [one.measure(step.kind) for one in parts], measured.subject)


def _rewards(builder: StepBuilder, parts: Sequence[InstructionDataset], responses: Step) -> Iterator[tuple[str, Step]]:
    for name, _ in parts[0].rewards:
        yield name, _join(builder, responses, [one.reward(name) for one in parts], f"{responses.subject} by {name}")


def _scores(builder: StepBuilder, parts: Sequence[InstructionDataset], responses: Step) -> Iterator[ScoreStep]:
    by_part = [{(each.scorer, each.model): each.step for each in one.score_steps} for one in parts]
    for scorer, model, _, options in parts[0].score_steps:
        scored_by = f" by {scorer} {model}" if len(by_part[0]) > 1 else ""
        steps = [found[scorer, model] for found in by_part]
        step = _join(builder, responses, steps, f"{responses.subject}{scored_by}")
        yield ScoreStep(scorer, model, step, options)


def _judgements(
    builder: StepBuilder, parts: Sequence[InstructionDataset], instructions: Step
) -> Iterator[tuple[JudgeMetric, Step]]:
    by_part = [dict(one.judgements) for one in parts]
    for metric in by_part[0]:
        if all(metric in found for found in by_part):
            steps, subject = [found[metric] for found in by_part], f"{metric} of {instructions.subject}"
            yield metric, _join(builder, instructions, steps, subject)


def _join(builder: StepBuilder, of: Step, parts: Sequence[Step | None], subject: str) -> Step:
    """Add the step with the measurements in `parts` of the rows of `of`."""
    found = {part.key: part for part in parts if part}
    kind = next(iter(found.values())).kind
    return builder.add(identify_as(kind, UnionParams), subject, UnionParams(), of, *found.values())
