"""Reads the instructions of a set and writes results for them, one shard at a time: sets may exceed the memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from pipelines.execution.runtime.commit import rows_shard
from pipelines.rows.ids import row_id
from pipelines.rows.operator import NOT_EVOLVED
from pipelines.rows.text import user_turn
from pipelines.rows.types import ELIMINATED, Rejection, Row
from pipelines.store.manifest import Account, Shard
from pipelines.store.shards import write_shard
from pipelines.store.store import Store
from pipelines.study.graph.steps.step import Step

INSTRUCTION_COLUMNS = ["id", "seed_id", "index", "instruction", "input", "outcome", "history", "turn"]


@dataclass(frozen=True, slots=True)
class Instruction:
    """A row of a set: its ids, the text of the turn that is evolved, including its input, and its outcome."""

    id: str
    seed_id: str
    index: int
    text: str
    outcome: str

    @property
    def is_member(self) -> bool:
        """Whether the row belongs to the set. Rows that were not evolved do not; they only enter the next round."""
        return not self.outcome.startswith(ELIMINATED)

    def derived_ids(self, key: str) -> tuple[str, str, str, int]:
        """Return the columns id, parent_id, seed_id and index of the row that the step `key` derives from this one."""
        return row_id(self.id, key), self.id, self.seed_id, self.index

    def reject(self, key: str) -> Rejection:
        """Return the rejection of a row that is not a member."""
        return Rejection(*self.derived_ids(key), "rejected", NOT_EVOLVED, self.outcome, "")


def read_instructions(store: Store, step: Step) -> Iterator[Instruction]:
    """Yield all rows of a finished step of instructions, in order."""
    for table in store.tables(step.kind, step.key, columns=INSTRUCTION_COLUMNS):
        for row in table.to_pylist():
            first = row["turn"] == "first" and row["history"]
            text = row["history"][0] if first else user_turn(row["instruction"], row["input"])
            yield Instruction(row["id"], row["seed_id"], row["index"], text, row["outcome"])


def write_results(store: Store, step: Step, results: Iterable[Row]) -> tuple[tuple[Shard, ...], Account]:
    """Write results, which are in the order of their rows, as the shards of a step."""
    shards: list[Shard] = []
    reasons, total = Counter[str](), 0
    for number, members in groupby(results, key=rows_shard):
        group = list(members)
        rejections = [row for row in group if isinstance(row, Rejection)]
        rows = [row for row in group if not isinstance(row, Rejection)]
        shards += write_shard(store, step.kind, step.key, number, rows, rejections)
        reasons.update(row.reason for row in rejections)
        total += len(group)
    shards = shards or write_shard(store, step.kind, step.key, 0, [], [])
    lost = reasons.total()
    return tuple(shards), Account(
        rows_in=total, rows_out=total - lost, rejected=lost, reasons=dict(sorted(reasons.items()))
    )
