"""Turns a record of any format into a seed row: a conversation, or an instruction with its columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from json import JSONDecodeError
from typing import cast

from pipelines.rows.readers.layouts.columns import (
    BATCH,
    Columns,
    ambiguous,
    column_note,
    columns_of,
    missing_column,
    missing_instruction,
    shown,
)
from pipelines.rows.readers.layouts.conversations import Seed, to_seed
from pipelines.rows.readers.layouts.names import plain
from pipelines.rows.readers.layouts.texts import checked_text, content_text, is_empty, json_type
from pipelines.rows.readers.layouts.turns import Turn, read_turns
from pipelines.rows.readers.rules import ReadingRules
from pipelines.rows.readers.seed_rows import Note, RowProblem, SeedRow
from pipelines.rows.readers.strict_json import StrictDecoder

Record = Mapping[str, object]
_INSTRUCTION, _MESSAGES, _DATA = "instruction", "messages", "data"


def to_row(index: int, record: object, rules: ReadingRules) -> SeedRow:
    """Return the seed row of a record. Texts are unchanged, except where a note says so.

    Raises:
        RowProblem: If the record is not a seed row, or has a part of its task that the rules do not allow to leave out.
    """
    if not isinstance(record, dict):
        raise RowProblem("not-an-object", f"a row must be an object with an instruction; here is {json_type(record)}")
    fields = cast(Record, record)
    columns = columns_of(tuple(fields), rules)
    conversation = _conversation(fields, columns)
    seed, name = None, ""
    if conversation:
        name, turns = conversation
        seed = _conversation_seed(fields, columns, rules, name, turns)
    if seed is None:
        name, seed = _column_seed(fields, columns, rules)
    if rules.on_unused == "refuse" and (lost := next((note for note in seed.notes if note.lost), None)):
        raise RowProblem("part-not-used", f"has {lost.text}")
    if not seed.instruction.strip():
        raise RowProblem("empty-instruction", "is empty", name)
    return SeedRow(index, *seed)


def _conversation(record: Record, columns: Columns) -> tuple[str, list[Turn]] | None:
    """Return the column with the record's conversation and its turns; None if the record is not a conversation."""
    if path := columns.mapped.get(_MESSAGES):
        value = columns.value(record, _MESSAGES)[1]
        if value is None:
            raise missing_column(path, columns.names)
        return path, read_turns(path, _decoded(path, value))
    if _INSTRUCTION in columns.mapped:
        return None
    found = [(name, record[name]) for name in columns.strong.get(_MESSAGES, ()) if _may_be_turns(record[name])]
    if any(not is_empty(record[name]) for name in columns.strong.get(_INSTRUCTION, ())):
        found = [(name, value) for name, value in found if plain(name) != _DATA]
    body = record.get(BATCH[0])
    if isinstance(body, dict) and BATCH[1] in body:
        found.append((".".join(BATCH), cast(Record, body)[BATCH[1]]))
    read = [(name, read_turns(name, _decoded(name, value))) for name, value in found if not _is_wrapper(name, value)]
    if len(read) > 1 and any(turns != read[0][1] for _, turns in read[1:]):
        raise ambiguous(_MESSAGES, [name for name, _ in read])
    return read[0] if read else _listed_turns(record, columns)


def _listed_turns(record: Record, columns: Columns) -> tuple[str, list[Turn]] | None:
    """Return the conversation of a record whose prompt, or chosen reply, is a list of turns."""
    lists = [(name, read_turns(name, record[name])) for name in columns.lists if isinstance(record[name], list)]
    if not lists:
        return None
    turns: list[Turn] = []
    for _, listed in lists:  # a chosen reply may repeat its prompt
        turns = listed if listed[: len(turns)] == turns else turns + listed
    name, value = columns.value(record, "output")
    if isinstance(value, list) and name not in columns.lists:
        turns += read_turns(name, cast(object, value))
    return lists[0][0], turns


def _may_be_turns(value: object) -> bool:
    return isinstance(value, list | dict | RowProblem) or (isinstance(value, str) and value.lstrip().startswith("["))


def _is_wrapper(name: str, value: object) -> bool:
    """Return whether `value` is a list of rows, not of turns."""
    if plain(name) != _DATA or not isinstance(value, list):
        return False
    first = next(iter(cast(list[object], value)), None)
    return isinstance(first, dict) and not {"role", "from", "speaker"} & {*map(plain, cast(Record, first))}


def _decoded(name: str, value: object) -> object:
    """Return a list of turns that is JSON as text, as in cells of CSV, and others unchanged."""
    if not isinstance(value, str):
        return value
    try:
        found, end = StrictDecoder().decode(value, len(value) - len(value.lstrip()))
    except (JSONDecodeError, RecursionError):
        raise RowProblem("not-turns", "is a text, but not a list of turns in JSON", name) from None
    if value[end:].strip():
        raise RowProblem("not-turns", "is a text, but not a list of turns in JSON", name)
    return found


def _conversation_seed(
    record: Record, columns: Columns, rules: ReadingRules, name: str, turns: Sequence[Turn]
) -> Seed | None:
    """Return the seed of a conversation; None if the record has another instruction beside it."""
    said = [turn.text.strip() for turn in turns if turn.role == "user"]
    notes: list[Note] = []
    if _MESSAGES not in columns.mapped:
        for column in (*columns.strong.get(_INSTRUCTION, ()), *columns.weak.get(_INSTRUCTION, ())):
            value = record[column]
            if not isinstance(value, str) or is_empty(value) or any(text.startswith(value.strip()) for text in said):
                continue
            if plain(column) == _INSTRUCTION:
                return None
            notes.append(Note(f"a column '{shown(column)}' that differs from the conversation, which is not used"))
        others = (*columns.strong.get("input", ()), *columns.strong.get("history", ()))
        notes += [column_note(each) for each in others if not _is_said(record[each], said)]
    notes += columns.unused(record, frozenset(columns.weak.get(_INSTRUCTION, ())))
    whole = [*_system_turn(record, columns), *_with_reply(record, columns, turns)]
    extra = checked_text(*columns.value(record, "input")) if "input" in columns.mapped else ""
    seed = to_seed(whole, name, rules, extra)
    return seed._replace(notes=(*seed.notes, *notes))


def _with_reply(record: Record, columns: Columns, turns: Sequence[Turn]) -> Sequence[Turn]:
    """Return turns with the reply of another column, if they have none or the study names that column."""
    mapped = "output" in columns.mapped
    if not (mapped or (turns and turns[-1].role == "user")):
        return turns
    column, reply = columns.value(record, "output")
    if isinstance(reply, list) or is_empty(reply):
        return turns
    end = len(turns)
    while mapped and end and turns[end - 1].role == "assistant":
        end -= 1
    return [*turns[:end], Turn("assistant", checked_text(column, reply))]


def _is_said(value: object, said: Sequence[str]) -> bool:
    return is_empty(value) or (isinstance(value, str) and any(value.strip() in text for text in said))


def _column_seed(record: Record, columns: Columns, rules: ReadingRules) -> tuple[str, Seed]:
    """Return the column of the instruction, and the seed of a record that is not a conversation."""
    name, value = _instruction(record, columns)
    instruction = checked_text(name, value)
    extra, output = (checked_text(*columns.value(record, field)) for field in ("input", "output"))
    history, listed = columns.value(record, "history")
    turns = [*_system_turn(record, columns)]
    if not is_empty(listed):
        turns += read_turns(history, _decoded(history, listed))
    notes = columns.unused(record, frozenset([name]))
    if _INSTRUCTION not in columns.mapped:
        chats = [each for each in columns.strong.get(_MESSAGES, ()) if plain(each) != _DATA]
        notes += tuple(column_note(each) for each in chats if not is_empty(record[each]))
    if columns.mapped:
        notes += tuple(_missing_note(path) for path in columns.mapped.values() if _is_missing(record, path))
    if not turns:
        return name, Seed(instruction, extra, output, "", (), notes)
    seed = to_seed([*turns, Turn("user", instruction), Turn("assistant", output)], name, rules, extra)
    return name, seed._replace(notes=(*seed.notes, *notes))


def _instruction(record: Record, columns: Columns) -> tuple[str, object]:
    name, value = columns.value(record, _INSTRUCTION)
    if not name or (value is None and _INSTRUCTION in columns.mapped and _is_missing(record, name)):
        raise missing_column(name, columns.names) if name else _no_instruction(record, columns)
    if isinstance(value, dict) and "replies" in value:
        raise RowProblem("message-tree", "is the root of a tree of messages, which has several conversations", name)
    return name, value


def _no_instruction(record: Record, columns: Columns) -> RowProblem:
    for name in columns.strong.get(_MESSAGES, ()):
        if not _is_wrapper(name, record[name]):
            return RowProblem("not-turns", f"must be a list of turns; here is {json_type(record[name])}", name)
    for name, value in record.items():
        if isinstance(value, list) and any(isinstance(item, dict) for item in cast(list[object], value)):
            return RowProblem("rows-in-a-row", f"is an object whose '{shown(name)}' is a list of objects")
    return missing_instruction(columns.names)


def _system_turn(record: Record, columns: Columns) -> list[Turn]:
    name, value = columns.value(record, "system")
    text, _ = content_text(name, value)
    return [Turn("system", text)] if text.strip() else []


def _is_missing(record: Record, path: str) -> bool:
    return path not in record and path.split(".")[0] not in record


def _missing_note(path: str) -> Note:
    return Note(f"no column '{shown(path)}', which the study names", lost=False)
