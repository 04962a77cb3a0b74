"""How near the instructions of a set are to one another, each set committed as a step.

The measure is the minimum neighbor distance of 2412.11231: the squared L2 distance of every instruction's embedding to
the nearest other one's. Of a set, the driver holds some hundred bytes per row, and neither texts nor embeddings.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from hashlib import blake2b

import numpy as np

from pipelines.execution.runtime.commit import commit
from pipelines.execution.runtime.context import Context
from pipelines.execution.steps.instruction_sets import instructions, write
from pipelines.operators.similarity.embedding import Encoder, Heard, encoder
from pipelines.operators.similarity.nearest_neighbours import Groups, grouped, neighbours
from pipelines.operators.similarity.vectors import PANEL
from pipelines.rows.types import DiversityRow, Rejection, Row
from pipelines.store.manifest import Manifest
from pipelines.store.store import Store
from pipelines.study.graph.step import Step
from pipelines.study.inputs.encoders import encoder_spec

ALONE = "no_neighbour"
DIGEST = 16  # bytes; so has an id
PANELS_KEPT = 8  # rows with copies of earlier texts come back to panels


def run_diversities(context: Context) -> None:
    """Run and commit all unfinished diversity steps of the plan, whose inputs are finished."""
    steps, spec = context.plan.pending_of("diversity"), context.study.diversity
    if not steps or spec is None:
        return
    largest = max(context.rows_of(step.inputs[0]) for step in steps)
    with encoder(encoder_spec(spec, context.folder), largest) as embeds:
        for step in steps:
            shown = partial(context.board.update, step.key, step.label, total=context.rows_of(step.inputs[0]))
            context.board.finish(step.key, context.told(diversity(context.store, step, embeds, shown)))


def diversity(store: Store, step: Step, embeds: Encoder, heard: Heard = lambda done: None) -> Manifest:
    """Run and commit one diversity step whose instructions are finished. Equal texts are embedded once."""
    started = time.monotonic()
    members = _members(store, step.inputs[0])
    shards, account = write(store, step, _found(store, step, members, embeds, heard))
    return commit(
        store, step, account, shards, time.monotonic() - started, {"distinct_texts": len(members.texts.first)}
    )


@dataclass(frozen=True, slots=True)
class _Members:
    """The ids of a set's members in their order, end to end, and which of them have the same text."""

    ids: bytes
    texts: Groups


def _members(store: Store, source: Step) -> _Members:
    ids, digests = bytearray(), bytearray()
    for row in instructions(store, source):
        if row.member:
            ids += bytes.fromhex(row.id)
            digests += blake2b(row.text.encode(), digest_size=DIGEST).digest()
    return _Members(bytes(ids), grouped(np.frombuffer(bytes(digests), dtype=f"V{DIGEST}")))


def _found(store: Store, step: Step, members: _Members, embeds: Encoder, heard: Heard) -> Iterator[Row]:
    """What is found of each row of the source step; rows of a set of one have no neighbour."""
    source, key, texts = step.inputs[0], step.key, members.texts
    alone = len(texts.group) < 2
    panels = [] if alone else embeds.panels(_distinct(store, source, texts), heard)
    found = None if alone else neighbours(panels, embeds.each, texts.group)
    fetch = lru_cache(PANELS_KEPT)(lambda number: embeds.fetch(panels[number]))
    place = -1
    for row in instructions(store, source):
        place += row.member
        if not row.member:
            yield row.left_out(key)
        elif found is None:
            yield Rejection(*row.made(key), "rejected", ALONE, "", "")
        else:
            panel, vector = divmod(int(texts.group[place]), PANEL)
            start = DIGEST * int(found.nearest[place])
            near = members.ids[start : start + DIGEST].hex(), int(found.repeats[place])
            yield DiversityRow(*row.made(key), float(found.distance[place]), *near, fetch(panel)[vector].tobytes())


def _distinct(store: Store, source: Step, texts: Groups) -> Iterator[str]:
    """Every text of a set once, in the order of the first rows that have it."""
    first = np.zeros(len(texts.group), dtype=bool)
    first[texts.first] = True
    members = (row for row in instructions(store, source) if row.member)
    return (row.text for row, new in zip(members, first, strict=True) if new)
