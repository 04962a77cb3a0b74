"""The graph of a study as plain data, for readers that do not have the study's file: `studies/NAME/graph.json`."""

from __future__ import annotations

import posixpath
from typing import Literal

from pydantic import BaseModel, ConfigDict

from pipelines.store.store import Store
from pipelines.store.studies.run_record import study_folder


class StepNode(BaseModel):
    """A step of the study. `inputs` are keys, `planned` are estimated seconds (None: unknown).

    A step that `unites` has the rows of its inputs, with their ids.
    """

    model_config = ConfigDict(frozen=True)

    key: str
    kind: str
    label: str
    inputs: tuple[str, ...] = ()
    model: str = ""
    planned: float | None = None
    unites: bool = False


class SetNode(BaseModel):
    """A data set: its coordinates, as in the report, and the keys of its steps by kind, with `name` for several."""

    model_config = ConfigDict(frozen=True)

    seeds: str
    evolver: str
    round: int
    teacher: str
    decoding: str
    answer_seed: int | None
    steps: tuple[str, ...]


class CellNode(BaseModel):
    """A trained student, or an untuned one (without `train`): its coordinates, and its evaluations by benchmark."""

    model_config = ConfigDict(frozen=True)

    student: str
    recipe: str
    seeds: str
    evolver: str
    round: int
    teacher: str
    decoding: str
    selection: str
    answer_seed: int | None
    seed: int | None
    train: str = ""
    evaluations: tuple[tuple[str, str], ...] = ()


class SearchNode(BaseModel):
    """The study's search: its settings, and its cells, each a student and an arm. `digest` is that of its decisions.

    `shares` of the rows are those of partial trainings. They are used if their rank correlation is at least `trust`.
    """

    model_config = ConfigDict(frozen=True)

    digest: str
    over: tuple[str, ...]
    epsilon: float
    risk: float
    better: Literal["high", "low"]
    shares: tuple[float, ...]
    trust: float
    cells: tuple[tuple[str, str], ...]


class StudyGraph(BaseModel):
    """A study's steps (each after its inputs), data sets and cells. `sizes` are parameters by model, smallest first.

    `budget` has the study's limits by unit. `search` is None if the study has none.
    """

    model_config = ConfigDict(frozen=True)

    study: str
    description: str = ""
    steps: tuple[StepNode, ...]
    sets: tuple[SetNode, ...] = ()
    cells: tuple[CellNode, ...] = ()
    sizes: dict[str, int] = {}
    budget: dict[str, float] = {}
    basis: str = ""
    search: SearchNode | None = None


def save_graph(store: Store, graph: StudyGraph) -> None:
    """Save the graph of a study, and replace that of an earlier version of it."""
    store.write_bytes(_path(store, graph.study), graph.model_dump_json(exclude_defaults=True).encode())


def load_graph(store: Store, study: str) -> StudyGraph | None:
    """Return the graph of a study; None if its last run was made by a version that saved none.

    Raises:
        CorruptStore: If the file is damaged.
    """
    try:
        return store.read_json(_path(store, study), StudyGraph.model_validate_json, "run the study again")
    except FileNotFoundError:
        return None


def _path(store: Store, study: str) -> str:
    return posixpath.join(study_folder(store, study), "graph.json")
