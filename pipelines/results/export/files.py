"""What an export has written: data sets and trained students."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipelines.study.graph.grid import InstructionDataset
from pipelines.study.spec.model import Model
from pipelines.study.spec.recipes import Recipe


@dataclass(frozen=True, slots=True)
class Exported:
    """A file that was written: its rows, the set that they are of, and the selection that chose them, if any."""

    path: Path
    rows: int
    pairs: InstructionDataset
    selection: str = ""
    ranking: bool = False

    @property
    def name(self) -> str:
        """Of the file, without endings."""
        return self.path.name.rsplit(".", 2)[0]


def set_name(pairs: InstructionDataset) -> str:
    """What a set is called as a file."""
    evolved = [*filter(None, (pairs.method, pairs.evolver)), f"r{pairs.round}"] if pairs.evolver else ["seeds"]
    return "-".join([pairs.seeds, *evolved, pairs.teacher, pairs.decoding])


@dataclass(frozen=True, slots=True)
class ExportedModel:
    """A student that was written to `path`: what it was made of, and its numbers by benchmark."""

    path: Path
    model: Model
    recipe: Recipe
    dataset: str
    rows: int
    scores: tuple[tuple[str, float], ...]
