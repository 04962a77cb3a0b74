"""Adds the steps that select pairs and train students on them."""

from __future__ import annotations

from pipelines.study.graph.builders.step_builder import StepBuilder
from pipelines.study.graph.steps.fingerprint import describe_without
from pipelines.study.graph.steps.grid import InstructionDataset
from pipelines.study.graph.steps.params.students import SelectParams, TrainParams
from pipelines.study.graph.steps.step import Step, plugin_parts
from pipelines.study.spec.pairs.selection import Selection
from pipelines.study.spec.training.recipes import Student


def add_selection(
    builder: StepBuilder,
    pairs: InstructionDataset,
    selection: Selection,
    sets: tuple[InstructionDataset, ...],
    training_seed: int,
    base: str,
    share: float = 1.0,
) -> Step:
    """Add the step that selects pairs for a student of a base model, and keeps a share of them.

    Only a selection that draws at random depends on the seed of the training, and only one that reads scores by the
    students' own bases depends on `base`.
    """
    seed = training_seed if selection.draws else builder.study.seed
    own = builder.study.selects_by_own_base(selection)
    rivals = [other for other in sets if other.seeds == pairs.seeds and other is not pairs] if selection.equal else []
    truncated = builder.study.responses.truncated
    identity = builder.identify(
        SelectParams,
        selection=describe_without(selection, "name", "reward", "scorer"),
        seed=seed,
        truncated=truncated,
        **({"share": share} if share < 1 else {}),
        **plugin_parts(("metric", selection.by), ("rule", selection.rule)),
    )
    needs = [step for one in (pairs, *rivals) for step in one.required_steps(selection, base)]
    note = (f" for {base}" if own else "") + builder.seed_note(seed)
    part = f", {100 * share:.4g} % of it" if share < 1 else ""
    subject = f"{pairs.responses.subject} / {selection.name}{part}{note}"
    return builder.add(identity, subject, SelectParams(selection, seed, truncated, share), *needs)


def add_training(builder: StepBuilder, selected: Step, student: Student, seed: int) -> Step:
    recipe = builder.study.recipes[student.recipe]
    thoughts, template = builder.study.responses.thinking == "train", builder.templates[student.recipe]
    identity = builder.identify(
        TrainParams,
        recipe=builder.recipes[student.recipe],
        template=template,
        model=builder.models[student.model],
        seed=seed,
        thoughts=thoughts,
    )
    subject = f"{student.model} {student.recipe}{builder.seed_note(seed)} on {selected.subject}"
    params = TrainParams(student.model, recipe, seed, student.resources, thoughts, template)
    return builder.add(identity, subject, params, selected)
