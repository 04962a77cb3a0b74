"""Measures the diversity of instruction sets, and commits each set as a step.

The measure is the minimum neighbor distance of 2412.11231: the squared L2 distance between each instruction's embedding
and the nearest other embedding. The driver holds a few hundred bytes per row of a set, but no texts or embeddings.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from hashlib import blake2b

import numpy as np

from pipelines.execution.runtime.commit import commit_step
from pipelines.execution.runtime.context import RunContext
from pipelines.execution.steps.instruction_sets import read_instructions, write_results
from pipelines.operators.similarity.embedding import Encoder, OnProgress, ray_encoder
from pipelines.operators.similarity.nearest_neighbours import EqualVectors, find_neighbours, group_equal
from pipelines.operators.similarity.vectors import PANEL_SIZE
from pipelines.planning.plan import Plan
from pipelines.rows.types import DiversityRow, Rejection, Row
from pipelines.store.manifest import Manifest
from pipelines.store.store import Store
from pipelines.study.graph.steps.step import Step
from pipelines.study.inputs.encoders import encoder_spec

NO_NEIGHBOUR = "no_neighbour"
DIGEST_BYTES = 16  # equal to the length of an id
CACHED_PANELS = 8  # rows that repeat an earlier text need its panel again


def run_diversities(context: RunContext, plan: Plan) -> Plan:
    """Run and commit all pending diversity steps, whose inputs are finished; return the plan with them finished."""
    steps, spec = plan.pending_of("diversity"), context.study.diversity
    if not steps or spec is None:
        return plan
    largest = max(context.row_counts.of(step.inputs[0]) for step in steps)
    with ray_encoder(encoder_spec(spec, context.folder), largest) as embeds:
        for step in steps:
            total = context.row_counts.of(step.inputs[0])
            on_progress = partial(context.progress.update, step.key, step.label, total=total)
            context.progress.finish_step(run_diversity(context.store, step, embeds, on_progress))
    return plan.with_finished(step.key for step in steps)


def run_diversity(
    store: Store, step: Step, text_encoder: Encoder, on_progress: OnProgress = lambda done: None
) -> Manifest:
    """Run and commit one diversity step whose instructions are finished. Equal texts are embedded once."""
    started = time.monotonic()
    members = _members(store, step.inputs[0])
    shards, account = write_results(store, step, _diversity_rows(store, step, members, text_encoder, on_progress))
    return commit_step(
        store, step, account, shards, time.monotonic() - started, {"distinct_texts": len(members.texts.first)}
    )


@dataclass(frozen=True, slots=True)
class _Members:
    """The concatenated ids of a set's members, in order, and which of them have the same text."""

    ids: bytes
    texts: EqualVectors


def _members(store: Store, source: Step) -> _Members:
    ids, digests = bytearray(), bytearray()
    for row in read_instructions(store, source):
        if row.is_member:
            ids += bytes.fromhex(row.id)
            digests += blake2b(row.text.encode(), digest_size=DIGEST_BYTES).digest()
    return _Members(bytes(ids), group_equal(np.frombuffer(bytes(digests), dtype=f"V{DIGEST_BYTES}")))


def _diversity_rows(
    store: Store, step: Step, members: _Members, text_encoder: Encoder, on_progress: OnProgress
) -> Iterator[Row]:
    """Yield the result for each row of the source step. The only member of a set is rejected: it has no neighbour."""
    source, key, texts = step.inputs[0], step.key, members.texts
    single = len(texts.group) < 2
    panels = [] if single else text_encoder.panels(_distinct_texts(store, source, texts), on_progress)
    nearest = None if single else find_neighbours(panels, text_encoder.map_calls, texts.group)
    fetch = lru_cache(CACHED_PANELS)(lambda number: text_encoder.fetch(panels[number]))
    position = -1
    for row in read_instructions(store, source):
        position += row.is_member
        if not row.is_member:
            yield row.reject(key)
        elif nearest is None:
            yield Rejection(*row.derived_ids(key), "rejected", NO_NEIGHBOUR, "", "")
        else:
            panel, vector = divmod(int(texts.group[position]), PANEL_SIZE)
            start = DIGEST_BYTES * int(nearest.nearest[position])
            near = members.ids[start : start + DIGEST_BYTES].hex(), int(nearest.repeats[position])
            yield DiversityRow(
                *row.derived_ids(key), float(nearest.distance[position]), *near, fetch(panel)[vector].tobytes()
            )


def _distinct_texts(store: Store, source: Step, texts: EqualVectors) -> Iterator[str]:
    """Return the distinct texts of a set, in the order of their first rows."""
    first = np.zeros(len(texts.group), dtype=bool)
    first[texts.first] = True
    members = (row for row in read_instructions(store, source) if row.is_member)
    return (row.text for row, new in zip(members, first, strict=True) if new)
