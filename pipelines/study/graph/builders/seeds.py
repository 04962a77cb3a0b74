"""Adds the steps that read seed sets."""

from __future__ import annotations

from bundled.world import WORLD_VERSION
from pipelines.rows.readers import hash_files
from pipelines.study.graph.builders.step_builder import StepBuilder
from pipelines.study.graph.steps.fingerprint import describe
from pipelines.study.graph.steps.params.instructions import SeedsParams
from pipelines.study.graph.steps.step import Part, Step
from pipelines.study.inputs.seeds import hub_set, reading_rules, seed_source
from pipelines.study.spec.instructions.seeds import Seeds


def add_seeds(builder: StepBuilder, seeds: Seeds) -> Step:
    source: dict[str, Part] = (
        {"world": seeds.world, "world_version": WORLD_VERSION, "seed": builder.study.seed}
        if seeds.world
        else _describe_files(builder, seeds)
    )
    identity = builder.identify(SeedsParams, limit=seeds.limit, on_bad_row=seeds.on_bad_row, **source)
    return builder.add(identity, seeds.name, SeedsParams(seeds))


def _describe_files(builder: StepBuilder, seeds: Seeds) -> dict[str, Part]:
    hub, rules = hub_set(seeds), describe(reading_rules(seeds))
    content = {"hub": describe(hub)} if hub else {"sha256": hash_files(seed_source(seeds, builder.folder).files)}
    return {**content, "rules": rules, "deduplicate": seeds.deduplicate}
