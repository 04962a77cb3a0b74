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
class HubSet:
    """One split of a data set on the hub at a commit. `config` is None if the data set has only one, or a default."""

    name: str
    revision: str
    config: str | None = None
    split: str = "train"


@dataclass(frozen=True, slots=True)
class Licence:
    """The licence that a card states: identifiers as the hub has them, and the name and link of others."""

    ids: tuple[str, ...] = ()
    name: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True)
class SeedSource:
    """The files of a seed set, all of one format, in the order in which their rows are numbered.

    `licence` and `languages` are those that the card of a data set on the hub states; other files have none.
    """

    files: tuple[Path, ...]
    rules: ReadingRules = ReadingRules()
    licence: Licence | None = None
    languages: tuple[str, ...] = ()
