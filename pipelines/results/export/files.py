"""Records of exported data sets and trained students."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipelines.evaluate.items.item import ACCURACY
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
class Origin:
    """Where a seed set or a model is from, its revision, and what its card states.

    That is its licence (identifiers, and the name and link of another one) and its languages, both empty if the card
    does not state them.
    """

    name: str
    source: str
    revision: str = ""
    licences: tuple[str, ...] = ()
    licence_name: str = ""
    licence_link: str = ""
    languages: tuple[str, ...] = ()

    @property
    def terms(self) -> tuple[tuple[str, ...], str, str]:
        """What a card's header says of the licence."""
        return self.licences, self.licence_name, self.licence_link

    @property
    def licence(self) -> str:
        """The licence for display."""
        named = " - ".join(filter(None, (", ".join(self.licences), self.licence_name, self.licence_link)))
        return named or "not stated"


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
class Score:
    """One number that a benchmark has measured of a student. The number `accuracy` is known by its benchmark alone."""

    benchmark: str
    number: str
    value: float

    @property
    def label(self) -> str:
        """The benchmark and the number, for display."""
        return self.benchmark if self.number == ACCURACY else f"{self.benchmark} {self.number}"


@dataclass(frozen=True, slots=True)
class ExportedModel:
    """A trained student: its base model (with its origin), its recipe and data, and its scores.

    `base` is the base's name on the hub, empty if it has none there. `training_data` are the origins of the seeds and
    of the models that wrote the rows.
    """

    name: str
    model: Model
    recipe: Recipe
    dataset: str
    rows: int
    scores: tuple[Score, ...]
    origin: Origin
    base: str = ""
    training_data: tuple[Origin, ...] = ()
