"""Records of exported data sets and trained students."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipelines.study.graph.steps.grid import InstructionDataset
from pipelines.study.spec.common.model import Model
from pipelines.study.spec.training.recipes import Recipe


@dataclass(frozen=True, slots=True)
class Exported:
    """An exported file: its rows' number and columns, their data set, and the selection that chose them, if any.

    `conversational` preferences have lists of turns in their columns.
    """

    path: Path
    rows: int
    columns: tuple[str, ...]
    pairs: InstructionDataset
    selection: str = ""
    ranking: bool = False
    conversational: bool = False

    @property
    def name(self) -> str:
        """The file's name without its extensions."""
        return self.path.name.rsplit(".", 2)[0]


@dataclass(frozen=True, slots=True)
class SeedOrigin:
    """Where a seed set is from, its revision, and its licence: identifiers, and the name and link of another one."""

    name: str
    source: str
    revision: str = ""
    licences: tuple[str, ...] = ()
    licence_name: str = ""
    licence_link: str = ""

    @property
    def terms(self) -> tuple[tuple[str, ...], str, str]:
        """What a card's header says of the licence."""
        return self.licences, self.licence_name, self.licence_link


def seed_suffix(seed: int | None) -> str:
    """Return the end of a name that tells apart what differs only in its seed."""
    return "" if seed is None else f"-seed{seed}"


def set_name(pairs: InstructionDataset) -> str:
    """Return the name of a data set's file, without extensions."""
    evolved = (
        [*filter(None, (pairs.union, pairs.method, pairs.evolver)), f"r{pairs.round}"]
        if pairs.evolved_by
        else ["seeds"]
    )
    return "-".join([pairs.seeds, *evolved, pairs.teacher, pairs.decoding]) + seed_suffix(pairs.answer_seed)


@dataclass(frozen=True, slots=True)
class ExportedModel:
    """A student exported to `path`: its base model, recipe and data, and its scores by benchmark."""

    path: Path
    model: Model
    recipe: Recipe
    dataset: str
    rows: int
    scores: tuple[tuple[str, float], ...]
