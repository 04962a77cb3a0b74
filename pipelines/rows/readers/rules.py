"""What to read as a seed set: its files, and the rules by which their records become seed rows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ColumnField = Literal["instruction", "input", "output", "system", "history", "messages"]
SystemPolicy = Literal["keep", "drop", "merge"]
TurnsPolicy = Literal["all", "first", "last"]
UnusedPolicy = Literal["tell", "refuse"]


@dataclass(frozen=True, slots=True)
class ReadingRules:
    """How a record becomes a seed row (docs/data.md).

    `columns` maps a field of a seed to the name of its column, in which dots lead into nested objects; None says that
    the field has no column. Fields without an entry are found by the usual names.
    """

    system: SystemPolicy = "keep"
    turns: TurnsPolicy = "all"
    columns: tuple[tuple[ColumnField, str | None], ...] = ()
    on_unused: UnusedPolicy = "tell"


@dataclass(frozen=True, slots=True)
class SeedSource:
    """The files of a seed set, all of one format, in the order in which their rows are numbered."""

    files: tuple[Path, ...]
    rules: ReadingRules = ReadingRules()
