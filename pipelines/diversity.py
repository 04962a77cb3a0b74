"""How near the instructions of a set are to one another, each set committed as a step.

The measure is the minimum neighbor distance of 2412.11231: the squared L2 distance of every instruction's embedding to
the nearest other one's.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.commit import commit, shard_of
from pipelines.context import Context
from pipelines.respond import NOT_EVOLVED, user_turn
from pipelines.rows import ELIMINATED, DiversityRow, Rejection, row_id
from pipelines.score.embedding import Encoder, Heard, encoder
from pipelines.score.neighbours import PANEL, Ints, Neighbours, Vectors, neighbours
from pipelines.store.manifest import Account, Manifest, Shard
from pipelines.store.parts import write_shard
from pipelines.store.store import Store
from pipelines.study.encoders import encoder_spec
from pipelines.study.steps import Step

COLUMNS = ["id", "seed_id", "index", "instruction", "input", "outcome"]
ALONE = "no_neighbour"


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
    started, (source,) = time.monotonic(), step.inputs
    table = store.rows(source.kind, source.key, columns=COLUMNS)
    evolved = [not outcome.startswith(ELIMINATED) for outcome in table.column("outcome").to_pylist()]
    members = table.filter(pa.array(evolved, pa.bool_()))
    made = _Made(members, embeds, heard, step.key)
    shards, account = _write(store, step, table, made)
    return commit(store, step, account, shards, time.monotonic() - started, {"distinct_texts": made.texts})


class _Made:
    """The instructions of a set, embedded, and the neighbours that they have; none in a set of one."""

    def __init__(self, members: pa.Table, embeds: Encoder, heard: Heard, key: str) -> None:
        self.embeds, self.key = embeds, key
        self.places = {row: place for place, row in enumerate(members.column("id").to_pylist())}
        self.ids = list(self.places)
        numbers: dict[str, int] = {}
        self.vector_of: Ints = np.array([numbers.setdefault(text, len(numbers)) for text in _texts(members)], dtype=int)
        self.texts = len(numbers)
        self.panels = embeds.panels(list(numbers), heard) if len(self.ids) > 1 else []
        self.found: Neighbours | None = None
        if self.panels:
            self.found = neighbours(self.panels, embeds.each, self.vector_of)
        self.fetched = -1, np.empty((0, 0), dtype=np.float32)

    def row(self, source: dict[str, Any]) -> DiversityRow | Rejection:
        """What is found of one row of the source step."""
        same = row_id(source["id"], self.key), source["id"], source["seed_id"], source["index"]
        place, found = self.places.get(source["id"]), self.found
        if place is None:
            return Rejection(*same, "rejected", NOT_EVOLVED, source["outcome"], "")
        if found is None:
            return Rejection(*same, "rejected", ALONE, "", "")
        nearest, vector = self.ids[found.nearest[place]], self.vector(int(self.vector_of[place]))
        return DiversityRow(*same, float(found.distance[place]), nearest, int(found.repeats[place]), vector.tobytes())

    def vector(self, number: int) -> Vectors:
        """One embedding; the panel that has it is kept for the next one."""
        panel, place = divmod(number, PANEL)
        if panel != self.fetched[0]:
            self.fetched = panel, self.embeds.fetch(self.panels[panel])
        return self.fetched[1][place]


def _texts(members: pa.Table) -> Iterator[str]:
    for batch in members.select(["instruction", "input"]).to_batches():
        yield from (user_turn(row["instruction"], row["input"]) for row in batch.to_pylist())


def _write(store: Store, step: Step, table: pa.Table, made: _Made) -> tuple[tuple[Shard, ...], Account]:
    """Write the rows shard by shard; no more than one shard's are in memory."""
    shards: list[Shard] = []
    reasons = Counter[str]()
    results = (made.row(source) for batch in table.to_batches() for source in batch.to_pylist())
    for number, members in groupby(results, key=shard_of):
        both = list(members)
        rows = [row for row in both if isinstance(row, DiversityRow)]
        rejections = [row for row in both if isinstance(row, Rejection)]
        shards += write_shard(store, step.kind, step.key, number, rows, rejections)
        reasons.update(row.reason for row in rejections)
    shards = shards or write_shard(store, step.kind, step.key, 0, [], [])
    lost = reasons.total()
    account = Account(
        rows_in=table.num_rows, rows_out=table.num_rows - lost, rejected=lost, reasons=dict(sorted(reasons.items()))
    )
    return tuple(shards), account
