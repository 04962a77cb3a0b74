"""Step 5: queries of real users, to be answered under the instructions."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from pipelines.rows.ids import row_id
from pipelines.rows.types import InstructionRow, PairedRow, VerifiedRow
from pipelines.study.graph.params import PairParams


def join_query(instruction: str, query: str) -> str:
    """The query, the instruction and a final stop, both with a capital first letter (2406.13542's code).

    A stop is put between them unless the query has a stop or a question mark anywhere; one that ends the instruction
    is not doubled.
    """
    between = " " if "?" in query or "." in query else ". "
    return f"{_capital(query)}{between}{_capital(instruction).rstrip('.')}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


T = TypeVar("T")
QUERIES_PER_INSTRUCTION = 16
MIN_QUERY_CHARS, MAX_QUERY_CHARS = 21, 299


def filter_queries(queries: Mapping[str, T]) -> dict[str, T]:
    """Queries of more than 20 and fewer than 300 characters, with what they stand for."""
    return {query: each for query, each in queries.items() if MIN_QUERY_CHARS <= len(query) <= MAX_QUERY_CHARS}


def pair_queries(
    instruction: str, queries: Sequence[str], count: int = QUERIES_PER_INSTRUCTION, seed: int = 0
) -> tuple[str, ...]:
    """`count` queries for an instruction, drawn without replacement from at least as many.

    They depend on the instruction and the seed, not on the other instructions.
    """
    return tuple(random.Random(f"{seed} {instruction}").sample(queries, count))


def paired_rows(
    formats: Iterable[VerifiedRow], queries: Mapping[str, InstructionRow], params: PairParams, key: str
) -> list[PairedRow]:
    """Every instruction with its queries, by the queries' places among the seeds. `key` is the step's."""
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
    # 2412.11231's code trains on the query as the input, 2406.13542 on one text
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
