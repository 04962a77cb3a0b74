"""Decides on which engine a student is evaluated: on its base's, beside other students, or on one of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace

from actors.engine import (
    Classification,
    ClassifyRequest,
    Client,
    EngineSpec,
    GenerateRequest,
    Generation,
    LogprobRequest,
    TokenLogprobs,
)
from actors.model_folder.adapter import saved_adapter_problem
from pipelines.execution.runtime.context import RunContext
from pipelines.execution.runtime.model_pools import model_load_timeout
from pipelines.store.store import CHECKPOINT_FOLDER
from pipelines.study.graph.steps.params.students import EvaluateParams
from pipelines.study.graph.steps.step import Step
from pipelines.study.inputs.models import evaluated_spec, shared_base_spec


@dataclass(frozen=True)
class AdapterClient:
    """A client of a student: its base's client, with the student's adapter in every request."""

    client: Client
    adapter: str

    async def generate(self, request: GenerateRequest) -> Generation:
        """Continue one conversation as the student."""
        return await self.client.generate(replace(request, adapter=self.adapter))

    async def logprobs(self, request: LogprobRequest) -> TokenLogprobs:
        """Score one text as the student."""
        return await self.client.logprobs(replace(request, adapter=self.adapter))

    async def classify(self, request: ClassifyRequest) -> Classification:
        """Classify as the base: no classifier has students."""
        return await self.client.classify(request)


@dataclass(frozen=True)
class EvaluatedModel:
    """The engine on which a model is evaluated, and the student's folder or URL if it is an adapter there.

    An engine of a base evaluates up to `places` models at once; any other one has 0 places, for its own model only.
    `load_timeout` is the number of seconds that it may wait while it loads.
    """

    spec: EngineSpec
    load_timeout: float
    adapter: str | None = None
    places: int = 0

    def client(self, client: Client) -> Client:
        """Return the model's client, given that of its engine."""
        return AdapterClient(client, self.adapter) if self.adapter else client


def evaluated_model(context: RunContext, step: Step, alone: bool) -> EvaluatedModel:
    """Return how the model of an evaluate step is evaluated. With `alone`, it has an engine of its own.

    A student whose adapter cannot be applied beside others is always alone, with its merged weights.
    """
    assert isinstance(step.params, EvaluateParams)
    study, model, template = context.study, step.params.model, step.params.template
    trained = [context.store.address(needed.kind, needed.key, CHECKPOINT_FOLDER) for needed in step.inputs]
    load_timeout = model_load_timeout(study.models[model], context.folder)
    base = None if alone else shared_base_spec(study, model, context.folder, template)
    if base is None or any(saved_adapter_problem(folder) for folder in trained):
        return EvaluatedModel(evaluated_spec(study, model, context.folder, *trained, template=template), load_timeout)
    places = int(str(dict(base.options)["max_loras"]))
    return EvaluatedModel(base, load_timeout, trained[0] if trained else None, places)
