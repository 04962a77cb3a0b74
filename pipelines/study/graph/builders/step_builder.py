"""Adds steps to the grid of a study: what all builders of steps share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from functools import cached_property
from pathlib import Path

from pipelines.study.graph.steps.fingerprint import Description, describe, describe_without
from pipelines.study.graph.steps.identities import encoder_identity, model_identity, reference_identity
from pipelines.study.graph.steps.prompt_names import describe_prompts
from pipelines.study.graph.steps.step import Identities, Identity, Step, StepParams, make_step
from pipelines.study.inputs.prompts.files import read_catalog
from pipelines.study.inputs.system_prompts import read_system_prompt
from pipelines.study.inputs.templates import student_template
from pipelines.study.spec.study import Study


class StepBuilder:
    """The steps of a study by key. `models` and `recipes` have the descriptions of the study's models and recipes.

    `templates` has the chat template of each recipe's students; None: the base's own.
    """

    def __init__(self, study: Study, folder: Path) -> None:
        self.study, self.folder = study, folder
        self.steps: dict[str, Step] = {}
        self.identify = Identities()
        self.catalog = read_catalog(study.prompts, folder)
        self.models = {name: describe(model_identity(model, folder)) for name, model in study.models.items()}
        self.recipes = {name: describe_without(recipe, "template") for name, recipe in study.recipes.items()}
        self.templates = {name: student_template(recipe, folder) for name, recipe in study.recipes.items()}

    def add(self, identity: Identity, subject: str, params: StepParams, *inputs: Step) -> Step:
        """Return the step of this identity with these inputs; add it to the grid if it is new."""
        step = make_step(identity, subject, params, inputs, self.catalog)
        return self.steps.setdefault(step.key, step)

    def seed_note(self, seed: int) -> str:
        """Return what labels say of a seed: nothing if it is the study's."""
        return "" if seed == self.study.seed else f" seed {seed}"

    def add_step(self, params: StepParams, subject: str, *inputs: Step, prompts: Sequence[str] = ()) -> Step:
        """Return the step with these parameters and inputs; add it to the grid if it is new.

        Its key covers all fields of its parameters, its model, the `prompts` of these names and the study's seed.
        """
        values = {each.name: describe(getattr(params, each.name)) for each in fields(params) if each.name != "model"}
        identity = self.identify(
            type(params),
            **values,
            model=self.models[params.model] if params.model else None,
            prompts=describe_prompts(self.catalog, *prompts),
            study_seed=self.study.seed,
        )
        return self.add(identity, subject, params, *inputs)

    @cached_property
    def system(self) -> str:
        """The system prompt of the teachers; empty if the study has none."""
        return read_system_prompt(self.folder, self.study.responses.system)

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
