"""Converts pairs to the formats of other tools: Alpaca, ShareGPT, messages, and Parquet with provenance."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pipelines.results.export import Format
from pipelines.rows.text import user_turn
from pipelines.rows.types import PairRow, ResponseRow

Pair = ResponseRow | PairRow
Record = dict[str, Any]


def alpaca(pair: Pair) -> Record:
    """Return the columns instruction, input and output (Stanford Alpaca)."""
    return {"instruction": pair.instruction, "input": pair.input, "output": pair.response}


def sharegpt(pair: Pair) -> Record:
    """Return a column `conversations` of turns from "human" and "gpt"."""
    turns = (("human", user_turn(pair.instruction, pair.input)), ("gpt", pair.response))
    return {"conversations": [{"from": who, "value": text} for who, text in turns]}


def messages(pair: Pair) -> Record:
    """Return a column `messages` of turns with role and content (chat templates, TRL)."""
    turns = (("user", user_turn(pair.instruction, pair.input)), ("assistant", pair.response))
    return {"messages": [{"role": role, "content": text} for role, text in turns]}


def with_provenance(pair: Pair) -> Record:
    """Return the columns of `messages`, the row's id, its seed's id and its seed's 0-based number in the seed file."""
    return messages(pair) | {"id": pair.id, "seed_id": pair.seed_id, "seed_index": pair.index}


def with_thoughts(record: Callable[[Pair], Record]) -> Callable[[Pair], Record]:
    """Return a format with one more column, `thoughts`: the teacher's thoughts before its answer."""
    return lambda pair: record(pair) | {"thoughts": pair.thoughts}


RECORDS: Mapping[Format, Callable[[Pair], Record]] = {
    "alpaca": alpaca,
    "sharegpt": sharegpt,
    "messages": messages,
    "parquet": with_provenance,
}
_MESSAGES: Record = {
    "formatting": "sharegpt",
    "columns": {"messages": "messages"},
    "tags": {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"},
}
LLAMA_FACTORY: Mapping[Format, Record] = {
    "alpaca": {},
    "sharegpt": {"formatting": "sharegpt"},
    "messages": _MESSAGES,
    "parquet": _MESSAGES,
}
"""The description of each format in LLaMA-Factory's dataset_info.json."""
LLAMA_FACTORY_PREFERENCES: Record = {
    "ranking": True,
    "columns": {"prompt": "prompt", "chosen": "chosen", "rejected": "rejected"},
}
