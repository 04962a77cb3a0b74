"""Adds the steps whose rows are the answers of a data set: teachers' answers, and given ones."""

from __future__ import annotations

from pipelines.rows.readers import hash_files
from pipelines.study.graph.builders.step_builder import StepBuilder
from pipelines.study.graph.steps.fingerprint import describe
from pipelines.study.graph.steps.params.answers import BestOfNParams, GivenParams, RespondParams, SampleCandidatesParams
from pipelines.study.graph.steps.prompt_names import ANSWER_PROMPTS, CONSTRAINED_ANSWER_PROMPT, describe_prompts
from pipelines.study.graph.steps.step import Part, Step
from pipelines.study.inputs.seeds import OWN_ANSWERS, given_rules, given_source, hub_set
from pipelines.study.sparse.places import Answering
from pipelines.study.spec.common.basics import SamplingSpec, number_label
from pipelines.study.spec.instructions.seeds import Seeds
from pipelines.study.spec.pairs.responses import BestOfN, DecodingVariant, Given


def add_given(builder: StepBuilder, given: Given, seeds: Seeds, step: Step) -> Step:
    """Add the step that reads existing answers to the rows of a seed set."""
    parts = _describe_given(builder, given, seeds)
    match = given.match if given.file else "row"
    identity = builder.identify(GivenParams, column=given.column, match=match, **parts)
    return builder.add(identity, f"{step.subject} / {given.name}", GivenParams(given, seeds), step)


def _describe_given(builder: StepBuilder, given: Given, seeds: Seeds) -> dict[str, Part]:
    hub, rules = hub_set(seeds), describe(given_rules(given, seeds))
    if hub and given.file is None and given.column != OWN_ANSWERS:
        return {"hub": describe(hub), "rules": rules}
    source = given_source(given, seeds, builder.folder)
    return {"sha256": hash_files(source.files), "rules": rules} if source else {}


def add_responses(builder: StepBuilder, step: Step, answering: Answering, draws: int) -> Step:
    """Add the step with a teacher's answers to the rows of `step`, `draws` for each row."""
    teacher, variant, _, seed = answering
    if variant.best_of_n:
        return add_best_of_n(builder, step, teacher, variant, variant.best_of_n, seed)
    prompt_names = (CONSTRAINED_ANSWER_PROMPT,) if step.kind == "pair" else ANSWER_PROMPTS
    identity = builder.identify(
        RespondParams,
        prompts=describe_prompts(builder.catalog, *prompt_names),
        model=builder.models[teacher],
        sampling=variant.sampling,
        seed=seed,
        draws=draws,
        system=builder.system,
    )
    job = RespondParams(teacher, variant.sampling, draws, builder.system, seed)
    return builder.add(identity, f"{step.subject} / {teacher} {variant.name}{builder.seed_note(seed)}", job, step)


def add_best_of_n(
    builder: StepBuilder, step: Step, teacher: str, variant: DecodingVariant, best_of_n: BestOfN, seed: int
) -> Step:
    candidates = add_candidates(builder, step, teacher, variant.sampling, best_of_n.candidates, seed)
    identity = builder.identify(BestOfNParams, pick=best_of_n.rule, model=builder.models[best_of_n.reward])
    job = BestOfNParams(best_of_n.reward, best_of_n.rule)
    return builder.add(identity, f"{step.subject} / {teacher} {variant.name}{builder.seed_note(seed)}", job, candidates)


def add_candidates(
    builder: StepBuilder, step: Step, teacher: str, sampling: SamplingSpec, candidates: int, seed: int
) -> Step:
    """Add the step that samples a teacher's candidates. All steps that choose among them share it."""
    identity = builder.identify(
        SampleCandidatesParams,
        prompts=describe_prompts(builder.catalog, *ANSWER_PROMPTS),
        model=builder.models[teacher],
        sampling=sampling,
        seed=seed,
        candidates=candidates,
        system=builder.system,
    )
    drawn = f"t{number_label(sampling.temperature)} p{number_label(sampling.top_p)}"
    subject = f"{step.subject} / {teacher} {candidates} at {drawn}{builder.seed_note(seed)}"
    job = SampleCandidatesParams(teacher, sampling, candidates, builder.system, seed)
    return builder.add(identity, subject, job, step)
