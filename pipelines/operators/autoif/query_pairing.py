"""AutoIF, step 5: pairs instructions with queries of real users."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from pipelines.rows.ids import row_id
from pipelines.rows.types import InstructionRow, PairedRow, VerifiedRow
from pipelines.study.graph.params import PairParams


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


def filter_queries(queries: Mapping[str, T]) -> dict[str, T]:
    """Return the queries of more than 20 and fewer than 300 characters, with their values."""
    return {query: each for query, each in queries.items() if MIN_QUERY_CHARS <= len(query) <= MAX_QUERY_CHARS}


def pair_queries(
    instruction: str, queries: Sequence[str], count: int = QUERIES_PER_INSTRUCTION, seed: int = 0
) -> tuple[str, ...]:
    """Return `count` queries for an instruction, sampled without replacement from `queries`.

    They depend on the instruction and the seed, not on other instructions. There must be at least `count` queries.
    """
    return tuple(random.Random(f"{seed} {instruction}").sample(queries, count))


def paired_rows(
    formats: Iterable[VerifiedRow], queries: Mapping[str, InstructionRow], params: PairParams, key: str
) -> list[PairedRow]:
    """Return a row per instruction and query, ordered by the queries' index in the seeds. `key` is the step's key."""
    texts = sorted(queries, key=lambda query: queries[query].index)
    rows = [
        _paired_row(one, query, queries[query], params, row_id(one.id, key, number))
        for one in formats
        for number, query in enumerate(pair_queries(one.instruction, texts, params.queries, params.seed))
    ]
    return sorted(rows, key=lambda row: (row.index, row.id))


def _paired_row(
    verified: VerifiedRow, query: str, seed: InstructionRow, params: PairParams, paired_id: str
) -> PairedRow:
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
    )
