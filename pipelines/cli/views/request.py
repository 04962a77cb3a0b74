"""Formats a step's request for a row for `evolgrid show`: the model, the prompt and the sampling."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pipelines.results.lineage import Link
from pipelines.rows.text import InConversation, context
from pipelines.rows.types import CandidatesRow, MethodRow, ResponseRow
from pipelines.study.graph.steps.methods import prompt_name
from pipelines.study.graph.steps.params.answers import CheckParams, RespondParams, SampleCandidatesParams
from pipelines.study.graph.steps.params.instructions import AugmentParams, EliminateParams, EvolveParams, VerifyParams
from pipelines.study.graph.steps.prompt_names import (
    AUTOIF_AUGMENT,
    AUTOIF_MATERIAL,
    AUTOIF_SCORE,
    CONSTRAINED_ANSWER_PROMPT,
)
from pipelines.study.graph.steps.step import Step, StepParams
from pipelines.study.spec.common.basics import SamplingSpec

Facts = Iterator[tuple[str, object]]
SHORT_ID_CHARS = 12


def request_facts(link: Link[Step], study_seed: int) -> Facts:
    """Yield the facts of a row's request: the model, the prompt and the sampling."""
    step, params = link.step, link.step.params
    if params.role:
        yield params.role, f"{params.model} ({_describe_model(step)})"
    if system := step.payload.get("system"):
        yield "system", system
    if facts := REQUEST_FACTS.get(type(params)):
        yield from facts(params, link, study_seed)


def conversation_facts(row: InConversation) -> Facts:
    """Yield the messages before the row's instruction, by their roles."""
    yield from context(row)


def describe_sampling(spec: SamplingSpec) -> str:
    """Return a short description of a model's sampling."""
    return f"temperature {spec.temperature:g}, top_p {spec.top_p:g}, at most {spec.max_tokens} tokens"


def _evolve_facts(params: EvolveParams, link: Link[Step], study_seed: int) -> Facts:
    yield "round", params.round
    if link.method is not None:
        yield from _optimized_facts(params, link.step, link.method)
    else:
        method = params.method(link.row.index, link.row.seed_id, study_seed)
        several = f" ({params.assignment} over {', '.join(params.methods)})" if len(params.methods) > 1 else ""
        yield "method", method + several
        yield "prompt", _describe_prompt(link.step, prompt_name(method))
    yield "sampling", describe_sampling(params.sampling)


def _optimized_facts(params: EvolveParams, step: Step, optimized: MethodRow) -> Facts:
    yield "method", f"optimized, row {optimized.id[:SHORT_ID_CHARS]} of {step.inputs[1].label}"
    yield "prompt", optimized.method
    yield "parser", f"{params.parser} version {step.payload['prompts']['parser']}"


def _eliminate_facts(params: EliminateParams, link: Link[Step], study_seed: int) -> Facts:
    yield "prompt", _describe_prompt(link.step, "equality")


def _answer_facts(params: RespondParams | SampleCandidatesParams, link: Link[Step], study_seed: int) -> Facts:
    step, row = link.step, link.row
    if isinstance(row, ResponseRow | CandidatesRow):  # a rejection does not say whether there was an input
        plain = "answer_with_input" if row.input else "answer"
        constrained = CONSTRAINED_ANSWER_PROMPT in step.payload["prompts"]
        yield "prompt", _describe_prompt(step, CONSTRAINED_ANSWER_PROMPT if constrained else plain)
    yield "sampling", describe_sampling(params.sampling)


def _augment_facts(params: AugmentParams, link: Link[Step], study_seed: int) -> Facts:
    yield "prompt", _describe_prompt(link.step, AUTOIF_AUGMENT)
    yield "sampling", describe_sampling(params.sampling)


def _verify_facts(params: VerifyParams, link: Link[Step], study_seed: int) -> Facts:
    yield "prompt", _describe_prompt(link.step, AUTOIF_MATERIAL)
    yield "sampling", describe_sampling(params.sampling)


def _check_facts(params: CheckParams, link: Link[Step], study_seed: int) -> Facts:
    yield "prompt", _describe_prompt(link.step, AUTOIF_SCORE)
    yield "sampling", describe_sampling(params.sampling)


def _describe_prompt(step: Step, name: str) -> str:
    used, prompt = step.payload["prompts"], step.catalog.get(name)
    known = f"{name}, sha256 {used[name][:SHORT_ID_CHARS]}, parser {prompt.parser} version {used['parser']}"
    return f"{known}, the study's own:\n{prompt.text}" if prompt in step.catalog.replaced else known


def _describe_model(step: Step) -> str:
    model = step.payload["model"]
    weights = model["weights"]
    known = f"sha256 {weights['sha256'][:SHORT_ID_CHARS]}" if "sha256" in weights else _name_at_revision(**weights)
    return f"{model['engine']}, {known}"


def _name_at_revision(name: str, revision: str | None) -> str:
    return f"{name} at {revision[:SHORT_ID_CHARS]}" if revision else name


REQUEST_FACTS: dict[type[StepParams], Callable[[Any, Link[Step], int], Facts]] = {
    EvolveParams: _evolve_facts,
    EliminateParams: _eliminate_facts,
    RespondParams: _answer_facts,
    SampleCandidatesParams: _answer_facts,
    AugmentParams: _augment_facts,
    VerifyParams: _verify_facts,
    CheckParams: _check_facts,
}
"""The facts besides the model, by the step's parameters; optional. The last argument is the study's seed."""
