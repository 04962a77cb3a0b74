"""Converts pairs to the formats of other tools: Alpaca, ShareGPT, messages, and Parquet with provenance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipelines.results.export import Format
from pipelines.results.export.preferences import DpoRow
from pipelines.rows.text import Message, conversation
from pipelines.rows.types import PairRow, ResponseRow

Pair = ResponseRow | PairRow
Record = dict[str, Any]


def alpaca(pair: Pair) -> Record:
    """Return the columns instruction, input and output (Stanford Alpaca).

    If there are any, also the columns system and history (pairs of a user turn and the reply to it; LLaMA-Factory).
    """
    record: Record = {"instruction": pair.instruction, "input": pair.input, "output": pair.response}
    if pair.system:
        record["system"] = pair.system
    if pair.history:
        record["history"] = [[*turns] for turns in zip(pair.history[::2], pair.history[1::2], strict=True)]
    return record


def sharegpt(pair: Pair) -> Record:
    """Return a column `conversations` of turns from "system", "human" and "gpt"."""
    turns = conversation(pair, pair.response)
    return {"conversations": [{"from": _SHAREGPT[role], "value": text} for role, text in turns]}


def messages(pair: Pair) -> Record:
    """Return a column `messages` of turns with role and content (chat templates, TRL)."""
    return {"messages": _turns(conversation(pair, pair.response))}


def _turns(turns: Sequence[Message]) -> list[Record]:
    return [{"role": role, "content": text} for role, text in turns]


def with_provenance(pair: Pair) -> Record:
    """Return the columns of `messages`, the row's id, its seed's id and its seed's 0-based number in the seed file."""
    return messages(pair) | {"id": pair.id, "seed_id": pair.seed_id, "seed_index": pair.index}


def with_thoughts(record: Callable[[Pair], Record]) -> Callable[[Pair], Record]:
    """Return a format with one more column, `thoughts`: the teacher's thoughts before its answer."""
    return lambda pair: record(pair) | {"thoughts": pair.thoughts}


def preference(row: DpoRow, conversational: bool) -> Record:
    """Return the columns prompt, chosen and rejected: texts, or lists of turns with role and content (TRL has both)."""
    if not conversational:
        return {"prompt": row.prompt, "chosen": row.chosen, "rejected": row.rejected}
    chosen, rejected = (_turns([("assistant", text)]) for text in (row.chosen, row.rejected))
    return {"prompt": _turns([*row.before, ("user", row.prompt)]), "chosen": chosen, "rejected": rejected}


def same_columns(records: Sequence[Record]) -> list[Record]:
    """Return records that all have the columns of any of them: a missing system text or history is empty."""
    optional = {name: empty for name, empty in _OPTIONAL.items() if any(name in record for record in records)}
    return [record | {name: empty for name, empty in optional.items() if name not in record} for record in records]


def llama_factory(form: Format, columns: Sequence[str]) -> Record:
    """Return the description of a file with these columns in LLaMA-Factory's dataset_info.json."""
    if form != "alpaca" or not {*_OPTIONAL} & {*columns}:
        return LLAMA_FACTORY[form]
    return {"columns": _ALPACA_COLUMNS | {name: name for name in _OPTIONAL if name in columns}}


_SHAREGPT = {"system": "system", "user": "human", "assistant": "gpt"}
_OPTIONAL: Record = {"system": "", "history": []}
_ALPACA_COLUMNS: Record = {"prompt": "instruction", "query": "input", "response": "output"}
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
"""The description of each format in LLaMA-Factory's dataset_info.json, without a system text or history."""
LLAMA_FACTORY_PREFERENCES: Record = {
    "ranking": True,
    "columns": {"prompt": "prompt", "chosen": "chosen", "rejected": "rejected"},
}
