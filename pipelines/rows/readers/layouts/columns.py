"""Finds the columns of a seed's fields by the names that a record has, or as the study maps them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import cast, get_args

from pipelines.rows.readers.layouts.names import LISTS, PARTS, STRONG, TREE, WEAK, plain
from pipelines.rows.readers.layouts.texts import is_empty
from pipelines.rows.readers.rules import ColumnField, ReadingRules
from pipelines.rows.readers.seed_rows import Note, RowProblem

Fields = dict[ColumnField, tuple[str, ...]]
FIELDS: tuple[ColumnField, ...] = get_args(ColumnField)
NO_INSTRUCTION = "there is no instruction (or question, prompt, query, problem, messages, conversations)"
BATCH = ("body", "messages")
"""Where OpenAI's batch files have the conversation."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a record, by field: `strong` and `weak` names, and `lists` that hold turns if they are lists.

    `mapped` are the paths that the study gives, `ignored` the fields without a column. `parts` are columns that carry a
    part of the task and have no field.
    """

    strong: Fields
    weak: Fields
    lists: tuple[str, ...]
    parts: tuple[str, ...]
    mapped: Mapping[ColumnField, str]
    names: tuple[str, ...]

    def value(self, record: Mapping[str, object], field: ColumnField) -> tuple[str, object]:
        """Return the column of a field in a record and its value; "" and None if there is none.

        Raises:
            RowProblem: If two columns could be the field.
        """
        if path := self.mapped.get(field):
            return path, _follow(record, path)
        strong = self.strong.get(field, ())
        for tier in (strong, self.weak.get(field, ())):
            found = [name for name in tier if record[name] is not None]
            if len(found) > 1:
                raise ambiguous(field, found)
            if found:
                return found[0], record[found[0]]
        return next(iter(strong), ""), None

    def unused(self, record: Mapping[str, object], used: frozenset[str]) -> tuple[Note, ...]:
        """Return notes on columns that carry a part of the task and are not among the `used` ones."""
        said = [record.get(name) for name in used]
        weak = (name for name in self.weak.get("instruction", ()) if name not in used)
        others = [name for name in weak if record[name] not in said]
        found = (name for name in (*self.parts, *others) if not is_empty(record[name]))
        return tuple(column_note(name) for name in found)


@lru_cache(maxsize=256)
def columns_of(names: tuple[str, ...], rules: ReadingRules) -> Columns:
    """Return the columns of records with these names."""
    given = dict(rules.columns)
    mapped: dict[ColumnField, str] = {field: path for field, path in given.items() if path is not None}
    taken = {*mapped.values(), *(path.split(".")[0] for path in mapped.values())}
    free = tuple(name for name in names if name not in taken)
    found: list[ColumnField] = [field for field in FIELDS if field not in given]
    strong: Fields = {field: _matching(free, STRONG[field]) for field in found}
    weak: Fields = {field: _matching(free, WEAK[field]) for field in found if field in WEAK}
    lists = _matching(free, LISTS) if "messages" not in given else ()
    parts = tuple(name for name in free if plain(name) in PARTS)
    return Columns(strong, weak, lists, parts, mapped, names)


def check_names(names: Sequence[str], rules: ReadingRules, nested: Collection[str] = ()) -> Columns:
    """Return the columns of a table with these names. Those in `nested` hold lists or objects.

    Raises:
        RowProblem: If no column can be the instruction, two could be one field, or a mapped column is missing.
    """
    columns = columns_of(tuple(names), rules)
    for path in columns.mapped.values():
        if path not in names and path.split(".")[0] not in names:
            raise missing_column(path, names)
    lists = (name for name in (*columns.lists, BATCH[0]) if name in names and name in nested)
    conversation = [*columns.strong.get("messages", ()), *lists]
    if not conversation or "instruction" in columns.mapped:
        for field in ("instruction", "input", "output", "system"):
            if len(found := columns.strong.get(field, ())) > 1:
                raise ambiguous(field, found)
    known = {*columns.mapped} & {"instruction", "messages"} or columns.strong.get("instruction")
    if not (known or columns.weak.get("instruction") or conversation):
        raise missing_instruction(names)
    return columns


def needed(columns: Columns) -> list[str]:
    """Return the names of all columns of a table that can be a part of its rows' seeds, in the table's order."""
    found = {name for tier in (columns.strong, columns.weak) for group in tier.values() for name in group}
    paths = columns.mapped.values()
    found |= {*columns.lists, *columns.parts, BATCH[0], *paths, *(path.split(".")[0] for path in paths)}
    return [name for name in columns.names if name in found]


def ambiguous(field: ColumnField, names: Sequence[str]) -> RowProblem:
    """Return the problem of a record in which two columns could be one field."""
    return RowProblem("ambiguous-field", f"both {' and '.join(names)} could be the {field}", field)


def missing_instruction(names: Sequence[str]) -> RowProblem:
    """Return the problem of a record without an instruction."""
    if {*map(plain, names)} >= TREE:
        detail = f"is one message of a tree ({', '.join(sorted(TREE))}), whose conversations lie in several rows"
        return RowProblem("message-tree", detail)
    return RowProblem("missing-instruction", f"{NO_INSTRUCTION}; {_describe(names)}", "instruction")


def missing_column(path: str, names: Sequence[str]) -> RowProblem:
    """Return the problem of a record without a column that the study names."""
    return RowProblem("missing-column", f"there is no column '{path}'; {_describe(names)}", path)


def column_note(name: str) -> Note:
    """Return the note on a column that is not used."""
    return Note(f"a column '{shown(name)}', which is not used ('columns' names a field's column)")


def _matching(names: Sequence[str], aliases: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for alias in aliases for name in names if plain(name) == alias)


def _follow(record: Mapping[str, object], path: str) -> object:
    if path in record:
        return record[path]
    value: object = record
    for key in path.split("."):
        value = cast(Mapping[str, object], value).get(key) if isinstance(value, dict) else None
    return value


def shown(name: str) -> str:
    """Return a name that is safe to print: its first 40 characters, others than ASCII as escapes."""
    return ascii(name[:40])[1:-1]


def _describe(names: Sequence[str]) -> str:
    return f"the fields are {', '.join(map(shown, names[:10]))}" if names else "there are no fields"
