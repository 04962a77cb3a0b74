"""Reads lists of turns in every usual spelling, as roles and texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, cast

from pipelines.rows.readers.layouts.names import PAIRS, SPEAKERS, TEXTS, TOOLS, plain, role_of
from pipelines.rows.readers.layouts.texts import THOUGHTS, content_text, is_empty, json_type
from pipelines.rows.readers.seed_rows import Note, RowProblem

CALLS = Note("calls of tools, which are not used")
ALTERNATING = ("user", "assistant")


class Turn(NamedTuple):
    """A turn of a conversation. `role` is "user", "assistant" or "system"."""

    role: str
    text: str
    notes: tuple[Note, ...] = ()


def read_turns(name: str, value: object) -> list[Turn]:
    """Return the turns of a conversation in the column `name`.

    A turn is an object with a speaker and a text, an object or a list with a text of both speakers, or a text (the
    user's and the assistant's by turns).

    Raises:
        RowProblem: If the value is not a list of turns, or a turn cannot be read.
    """
    if isinstance(value, RowProblem):
        raise value
    if isinstance(value, dict):
        value = _transposed(cast(Mapping[str, object], value))
    if not isinstance(value, list):
        raise RowProblem("not-turns", f"must be a list of turns; here is {json_type(value)}", name)
    turns = cast(list[object], value)
    if all(isinstance(turn, str) for turn in turns):
        return [Turn(ALTERNATING[place % 2], *content_text(name, turn)) for place, turn in enumerate(turns)]
    return [turn for number, item in enumerate(turns, 1) for turn in _turns(name, number, item)]


def _turns(name: str, number: int, item: object) -> Iterator[Turn]:
    if isinstance(item, RowProblem):
        raise item
    if isinstance(item, list):
        yield from _listed(name, number, cast(list[object], item))
        return
    if not isinstance(item, dict):
        raise RowProblem("not-turns", f"turn {number} must be an object; here is {json_type(item)}", name)
    fields = {plain(key): content for key, content in cast(Mapping[str, object], item).items()}
    speaker = next((key for key in SPEAKERS if key in fields), None)
    yield from [_spoken(name, number, fields, speaker)] if speaker else _both_speakers(name, number, fields)


def _transposed(fields: Mapping[str, object]) -> object:
    """Return the turns of an object of lists, as `datasets` stores a sequence of objects; others unchanged."""
    lists = [cast(list[object], value) for value in fields.values() if isinstance(value, list)]
    if not lists or len(lists) < len(fields) or len({*map(len, lists)}) > 1:
        return fields
    return [dict(zip(fields, values, strict=True)) for values in zip(*lists, strict=True)]


def _listed(name: str, number: int, texts: Sequence[object]) -> Iterator[Turn]:
    """Yield the turns of a list: [user, assistant], or objects."""
    if texts and all(isinstance(text, dict) for text in texts):
        for text in texts:
            yield from _turns(name, number, text)
        return
    if len(texts) != 2:
        raise RowProblem("not-turns", f"turn {number} must be [user, assistant]; here are {len(texts)} values", name)
    for role, text in zip(ALTERNATING, texts, strict=True):
        yield Turn(role, *content_text(name, text))


def _spoken(name: str, number: int, fields: Mapping[str, object], speaker: str) -> Turn:
    role = _role(name, number, fields[speaker])
    key = next((key for key in TEXTS if key in fields), None)
    if key is None and role != "assistant":
        wanted = " or ".join(f"'{text}'" for text in TEXTS[:3])
        raise RowProblem("not-turns", f"turn {number} has no {wanted}", name)
    text, notes = content_text(name, fields[key]) if key else ("", ())
    if not (is_empty(fields.get("tool_calls")) and is_empty(fields.get("function_call"))):
        notes = (*notes, CALLS)
    if not (is_empty(fields.get("reasoning_content")) and is_empty(fields.get("thinking"))):
        notes = (*notes, THOUGHTS)
    return Turn(role, text, notes)


def _role(name: str, number: int, speaker: object) -> str:
    if isinstance(speaker, RowProblem):
        raise speaker
    role = role_of(speaker) if isinstance(speaker, str) else None
    if role == TOOLS:
        raise RowProblem("tool-turn", f"turn {number} is of a tool (the role '{speaker}')", name)
    if role is None:
        shown = ascii(speaker[:40]) if isinstance(speaker, str) else json_type(speaker)
        raise RowProblem("unknown-role", f"turn {number} is of the unknown role {shown}", name)
    return role


def _both_speakers(name: str, number: int, fields: Mapping[str, object]) -> Iterator[Turn]:
    """Yield the turns of an object whose keys are speakers, for example {"user": ..., "assistant": ...}."""
    known = {key: role_of(key) or ("" if plain(name) == "data" else PAIRS.get(key, "")) for key in fields}
    if not any(known.values()):
        wanted = "a speaker ('role', 'from') and a text ('content', 'value')"
        raise RowProblem("not-turns", f"turn {number} is not an object with {wanted}", name)
    for wanted in ("system", *ALTERNATING):
        for key in (key for key, role in known.items() if role == wanted and fields[key] is not None):
            yield Turn(wanted, *content_text(name, fields[key]))
    for key in (key for key, role in known.items() if role == TOOLS and not is_empty(fields[key])):
        _role(name, number, key)
