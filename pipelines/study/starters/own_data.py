"""Finds out which columns of a user's file are the instruction, the input, the answer or the conversation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from pipelines.errors import InputError
from pipelines.rows.readers import (
    BadRow,
    ColumnField,
    ReadingRules,
    SeedRow,
    SeedSource,
    count_rows,
    find_files,
    iter_seeds,
)
from pipelines.rows.readers.layouts.columns import columns_of
from pipelines.rows.readers.layouts.names import STRONG, WEAK, plain
from pipelines.rows.readers.seed_rows import REMEDIES
from pipelines.rows.readers.sets.column_names import column_names

SAMPLE_ROWS = 50
MAX_COUNTED = 100_000
REMEDY = (
    "One column must hold an instruction, as text, in every row. A study can name one inside another by its path: "
    "'columns: {instruction: OUTER.INNER}'."
)
_LIKELY = ("text", "task", "user", "human", "request", "message", "sentence", "title", "content", "body")
"""Names of columns that often hold an instruction, if no column has one of the usual names."""


@dataclass(frozen=True, slots=True)
class OwnData:
    """What was found out of a file of instructions.

    Attributes:
        path: The file, folder or glob, as it was given.
        rows: The number of its rows, at most `MAX_COUNTED`.
        fields: The column of each field of a seed that was found.
        mapping: The entries that the study's `columns` needs, because names alone do not decide.
        unused: The other columns.
        guessed: Other columns that could be the instruction, if it was guessed.
    """

    path: Path
    rows: int
    fields: Mapping[ColumnField, str]
    mapping: Mapping[ColumnField, str] = field(default_factory=dict[ColumnField, str])
    unused: tuple[str, ...] = ()
    guessed: tuple[str, ...] = ()

    @property
    def has_answers(self) -> bool:
        """Whether the file has an answer to its instructions."""
        return "output" in self.fields


def inspect_data(path: Path) -> OwnData:
    """Return which columns of a file (a folder, a glob) hold what, from its first rows.

    Raises:
        InputError: The file cannot be read, or no column of it can be an instruction.
    """
    files = find_files([path])
    if not (names := column_names(files[0])):
        raise InputError("contains no rows", file=str(path))
    mapping, guessed = _mapping(path, files, names)
    fields = _recognised(names, mapping)
    rows = count_rows(SeedSource(files, ReadingRules(columns=tuple(mapping.items()))), MAX_COUNTED)
    return OwnData(path, rows, fields, mapping, _others(names, fields), guessed)


def _mapping(
    path: Path, files: Sequence[Path], names: tuple[str, ...]
) -> tuple[dict[ColumnField, str], tuple[str, ...]]:
    """Return the entries that `columns` needs, and the other candidates if the instruction had to be guessed."""
    if _readable(files, {}):
        return {}, ()
    chosen = _ambiguous_choice(names)
    if chosen and _readable(files, chosen):
        return chosen, ()
    if conversations := [name for name in names if _readable(files, {"messages": name})]:
        return {"messages": conversations[0]}, ()
    texts = [name for name in names if _is_text(files, name)]
    if not texts:
        if not count_rows(SeedSource(tuple(files), ReadingRules(columns=(("instruction", names[0]),))), 1):
            raise InputError("contains no rows", file=str(path))
        raise _no_instruction(path, files, names)
    likely = [name for word in _LIKELY for name in texts if word in plain(name)]
    best = (likely or texts)[0]
    return {"instruction": best}, tuple(name for name in texts if name != best)


def _no_instruction(path: Path, files: Sequence[Path], names: Sequence[str]) -> InputError:
    """Return the error of a file without an instruction: its first row that cannot be read, if most of them cannot."""
    rows = _first_rows(files, {"instruction": names[0]})
    unreadable = [row for row in rows if isinstance(row, BadRow) and row.field is None]
    if len(unreadable) * 2 > len(rows):
        bad = unreadable[0]
        return InputError(bad.detail, file=str(path), line=bad.line, remedy=REMEDIES[bad.reason])
    message = f"no column can be an instruction: the columns are {', '.join(names[:10])}"
    return InputError(message, file=str(path), remedy=REMEDY)


def _first_rows(files: Sequence[Path], mapping: Mapping[ColumnField, str]) -> list[SeedRow | BadRow]:
    """Return the first rows if columns are mapped like this; none of a file that cannot be read so."""
    rules = ReadingRules(columns=tuple(mapping.items()))
    try:
        with closing(iter_seeds(SeedSource(tuple(files), rules))) as found:
            return list(islice(found, SAMPLE_ROWS))
    except InputError:
        return []


def _readable(files: Sequence[Path], mapping: Mapping[ColumnField, str]) -> int:
    """Return how many of the first rows are seeds if columns are mapped like this."""
    return sum(isinstance(row, SeedRow) for row in _first_rows(files, mapping))


def _recognised(names: tuple[str, ...], mapping: Mapping[ColumnField, str]) -> dict[ColumnField, str]:
    columns = columns_of(names, ReadingRules(columns=tuple(mapping.items())))
    found: dict[ColumnField, str] = {}
    for tier in (columns.weak, columns.strong):
        found |= {field: group[0] for field, group in tier.items() if group}
    return found | dict(mapping)


def _ambiguous_choice(names: Sequence[str]) -> dict[ColumnField, str]:
    """Return the most usual column of each field of which several columns could be the one."""
    chosen: dict[ColumnField, str] = {}
    for field_name in ("instruction", "input", "output", "system"):
        for tier in (STRONG, WEAK):
            known = [name for alias in tier.get(field_name, ()) for name in names if plain(name) == alias]
            if len(known) > 1:
                chosen[field_name] = known[0]
            if known:
                break
    return chosen


def _is_text(files: Sequence[Path], name: str) -> bool:
    """Return whether most of the first rows have several words in a column."""
    rows = _first_rows(files, {"instruction": name})
    texts = [row.instruction for row in rows if isinstance(row, SeedRow)]
    return len(texts) * 2 > len(rows) and sum(" " in text.strip() for text in texts) * 2 > len(texts)


def _others(names: Sequence[str], fields: Mapping[ColumnField, str]) -> tuple[str, ...]:
    used = {path.split(".")[0] for path in fields.values()}
    return tuple(name for name in names if name not in used)
