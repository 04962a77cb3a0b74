"""AutoIF, step 5: pairs instructions with queries of real users."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import TypeVar

from pipelines.rows.ids import row_id
from pipelines.rows.text import context, user_turn
from pipelines.rows.types import InstructionRow, PairedRow, VerifiedRow
from pipelines.study.graph.steps.params.instructions import PairParams


def join_query(instruction: str, query: str) -> str:
    """Return the query and the instruction, both capitalised, with a final full stop (2406.13542's code).

    They are separated by a full stop unless the query contains a full stop or question mark. A full stop at the end of
    the instruction is not doubled.
    """
    between = " " if "?" in query or "." in query else ". "
    return f"{_capital(query)}{between}{_capital(instruction).rstrip('.')}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


T = TypeVar("T")
QUERIES_PER_INSTRUCTION = 16
MIN_QUERY_CHARS, MAX_QUERY_CHARS = 21, 299


def filter_queries(seeds: Iterable[InstructionRow]) -> list[InstructionRow]:
    """Return the seeds whose user turn has more than 20 and fewer than 300 characters, ordered by index.

    Of seeds with the same turn after the same conversation, the first one is returned.
    """
    distinct = dict[tuple[object, str], InstructionRow]()
    for row in sorted(seeds, key=lambda row: row.index):
        distinct.setdefault((context(row), _query(row)), row)
    return [row for row in distinct.values() if MIN_QUERY_CHARS <= len(_query(row)) <= MAX_QUERY_CHARS]


def _query(row: InstructionRow) -> str:
    return user_turn(row.instruction, row.input)


def pair_queries(
    instruction: str, queries: Sequence[T], count: int = QUERIES_PER_INSTRUCTION, seed: int = 0
) -> tuple[T, ...]:
    """Return `count` queries for an instruction, sampled without replacement from `queries`.

    They depend on the instruction and the seed, not on other instructions. There must be at least `count` queries.
    """
    return tuple(random.Random(f"{seed} {instruction}").sample(queries, count))


def paired_rows(
    formats: Iterable[VerifiedRow], queries: Sequence[InstructionRow], params: PairParams, key: str
) -> list[PairedRow]:
    """Return a row per instruction and query, ordered by the queries' index in the seeds. `key` is the step's key.

    `queries` are in the order of their index.
    """
    rows = [
        _paired_row(one, query, params, row_id(one.id, key, number))
        for one in formats
        for number, query in enumerate(pair_queries(one.instruction, queries, params.queries, params.seed))
    ]
    return sorted(rows, key=lambda row: (row.index, row.id))


def _paired_row(verified: VerifiedRow, seed: InstructionRow, params: PairParams, paired_id: str) -> PairedRow:
    query = _query(seed)
    # 2412.11231's code uses the query as the input, 2406.13542 joins query and instruction
    as_input = params.rules == "port"
    return PairedRow(
        id=paired_id,
        parent_id=verified.id,
        seed_id=seed.seed_id,
        index=seed.index,
        round=1,
        method="autoif",
        instruction=verified.instruction if as_input else join_query(verified.instruction, query),
        input=query if as_input else "",
        reference="",
        raw="",
        outcome="accepted",
        tokens_in=0,
        tokens_out=0,
        before=query,
        constraint=verified.instruction,
        functions=verified.functions,
        system=seed.system,
        history=seed.history,
    )
