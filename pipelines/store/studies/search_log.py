"""The decisions of a study's search: `studies/NAME/search/NUMBER.json` in the store, each with what it was made from.

A decision is written before it is carried out. It is never changed.
"""

from __future__ import annotations

import posixpath
from typing import Literal

from pydantic import BaseModel, ConfigDict

from pipelines.store import atomic_files as files
from pipelines.store.errors import LeaseLost
from pipelines.store.store import Store
from pipelines.store.studies.run_record import study_folder

DecisionReason = Literal["start", "risk", "rung", "finals", "stop"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TrainedCell(_Frozen):
    """A cell to train: a student, an arm, the number of the training seed, and the share of its rows."""

    student: str
    arm: str
    seed: int = 0
    share: float = 1.0

    @property
    def text(self) -> str:
        """The cell as text for display."""
        seed = f" (seed {self.seed + 1})" if self.seed else ""
        part = f" ({100 * self.share:.4g} % of the rows)" if self.share < 1 else ""
        return f"{self.arm} for {self.student}{seed}{part}"


class CellValue(_Frozen):
    """A number of a cell: its score, or the value of a prior."""

    student: str
    arm: str
    value: float


class PartialValue(CellValue):
    """The score of a cell that was trained on a share of its rows."""

    share: float


class RungVerdict(_Frozen):
    """Whether the scores of partial trainings on a share of the rows are trusted as a prior.

    `rho` is their rank correlation with the scores of full trainings on `cells` cells, which had to be `trust`; None if
    all of the scores are equal.
    """

    share: float
    cells: int
    rho: float | None
    trust: float
    trusted: bool

    @property
    def text(self) -> str:
        """The verdict as text for display."""
        measured = "all scores are equal" if self.rho is None else f"Spearman {self.rho:.2f}"
        trusted = "trusted" if self.trusted else "not trusted"
        need = "" if self.trusted else f", and {self.trust:g} is needed"
        return f"{100 * self.share:.4g} % of the rows {trusted}: {measured} over {self.cells} cells{need}"


class UntrainedArm(_Frozen):
    """An arm that is not trained: its expected score (None if nothing is measured), and its chance to be better."""

    arm: str
    expected: float | None
    probability: float


class StudentsRisk(_Frozen):
    """The risk of students that are decided together, that an arm which is not trained is better.

    `trained` are their trained arms with scores, the best first. `inseparable` are those that the paired test does not
    separate from the best; they are known at the end.
    """

    students: tuple[str, ...]
    risk: float
    trained: tuple[tuple[str, float], ...]
    untrained: tuple[UntrainedArm, ...]
    inseparable: tuple[str, ...] = ()


class SearchDecision(_Frozen):
    """A decision, and the numbers that it was made from.

    `search` is a digest of the search's settings and cells. `room` is the number of cells that the cluster trains at
    once. `failed` are the cells whose training failed. `partial` are the scores of partial trainings, and `rungs` says
    which shares are trusted: from the decision on after which they were measured.
    """

    number: int
    search: str
    reason: DecisionReason
    cells: tuple[TrainedCell, ...]
    room: int
    scores: tuple[CellValue, ...]
    failed: tuple[TrainedCell, ...]
    priors: dict[str, tuple[CellValue, ...]]
    groups: tuple[StudentsRisk, ...]
    partial: tuple[PartialValue, ...] = ()
    rungs: tuple[RungVerdict, ...] = ()


def load_decisions(store: Store, study: str, search: str | None = None) -> list[SearchDecision]:
    """Return the decisions of a study's searches in order, or of the one with this digest.

    Raises:
        CorruptStore: If a decision is damaged.
    """
    paths = sorted(files.list_files(store.fs, posixpath.join(_folder(store, study), "*.json")))
    remedy = "delete the folder 'search' of the study; the next run decides again"
    found = [store.read_json(path, SearchDecision.model_validate_json, remedy) for path in paths]
    return [one for one in found if search in (None, one.search)]


def save_decision(store: Store, study: str, decision: SearchDecision) -> None:
    """Save a decision.

    Raises:
        LeaseLost: If another run has made the decision of this number.
    """
    store.fence()
    path = posixpath.join(_folder(store, study), f"{decision.number:05d}.json")
    if not files.create_exclusive(store.fs, path, decision.model_dump_json(indent=1).encode()):
        raise LeaseLost(f"another run has made decision {decision.number} of the search of '{study}': this one stops")


def _folder(store: Store, study: str) -> str:
    return posixpath.join(study_folder(store, study), "search")
