"""What a study has spent in a store over all of its runs: `studies/NAME/spending.json`."""

from __future__ import annotations

import posixpath

from pydantic import BaseModel, ConfigDict

from pipelines.store.store import Store
from pipelines.store.studies.run_record import study_folder


class ModelSpending(BaseModel):
    """The tokens that a model read and wrote, and what its endpoint costs for them."""

    model_config = ConfigDict(frozen=True)

    tokens_in: int = 0
    tokens_out: int = 0
    dollars: float = 0.0


class Spending(BaseModel):
    """The spending of a study by model, and the hours for which it held GPUs."""

    model_config = ConfigDict(frozen=True)

    models: dict[str, ModelSpending] = {}
    gpu_hours: float = 0.0

    @property
    def tokens(self) -> int:
        """All tokens that models read and wrote."""
        return sum(each.tokens_in + each.tokens_out for each in self.models.values())

    @property
    def dollars(self) -> float:
        """What all endpoints cost."""
        return sum(each.dollars for each in self.models.values())


def save_spending(store: Store, study: str, spending: Spending) -> None:
    """Save what a study has spent so far."""
    store.write_bytes(_path(store, study), spending.model_dump_json(indent=1).encode())


def load_spending(store: Store, study: str) -> Spending:
    """Return what a study has spent so far in this store.

    Raises:
        CorruptStore: If the file is damaged.
    """
    try:
        return store.read_json(_path(store, study), Spending.model_validate_json, "delete it; counting starts at 0")
    except FileNotFoundError:
        return Spending()


def _path(store: Store, study: str) -> str:
    return posixpath.join(study_folder(store, study), "spending.json")
