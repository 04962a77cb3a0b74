"""A short profile of a study: its own steps on a few seeds, twice, from which the time of all of it is foretold.

Two sizes tell what a step costs before its first row and what each row costs. What stays unexplained of the runs' wall
time (starting Ray and processes, the report) is kept as the overhead of a run.
"""

from __future__ import annotations

import posixpath

from pydantic import BaseModel

from pipelines.planning.machine_types import MachineTypes
from pipelines.planning.workload import CostSetting, LinearCost
from pipelines.store.store import Store
from pipelines.store.studies.run_record import study_folder
from pipelines.study.graph.fingerprint import fingerprint
from pipelines.study.graph.identities import model_identity
from pipelines.study.graph.step import Step


class Profile(BaseModel):
    """What was measured when and on what; `lines` by role of step, `overhead` in seconds of a run.

    `accelerators` are the kinds of GPUs, as far as they are known.
    """

    created: str
    cpus: int
    gpus: int
    accelerators: list[str] = []
    overhead: float
    lines: dict[str, LinearCost]

    @property
    def description(self) -> str:
        """Where the numbers come from."""
        kinds = f" ({', '.join(self.accelerators)})" if self.accelerators else ""
        return f"a profile on {self.cpus} CPUs and {self.gpus} GPUs{kinds}, {self.created[:10]}"


def load_profile(store: Store, study: str) -> Profile | None:
    """The profile of a study, if it was ever measured in this store."""
    try:
        return Profile.model_validate_json(store.read_bytes(profile_path(store, study)))
    except FileNotFoundError:
        return None


def profile_mismatch(step: Step, cost: LinearCost | None, machine_types: MachineTypes) -> str | None:
    """Why a line says nothing of a step: it is of another model, or of other GPUs. None if it does."""
    current, measured = setting_of(step, machine_types), cost and cost.setting
    if cost is None:
        return "was not measured" if current else None
    if current is None:
        return None
    if measured is None or measured.model != current.model:
        return "has other weights or settings than what was measured"
    if measured.gpus != current.gpus:
        return f"was measured on {measured.gpus:g} GPUs and is to have {current.gpus:g}"
    if current.gpu and measured.gpu != current.gpu:
        return f"was measured on GPUs of {measured.gpu or 'an unknown kind'} and will lie on {current.gpu}"
    return None


def setting_of(step: Step, kinds: MachineTypes) -> CostSetting | None:
    """What a step's model is and lies on; None for a step that asks none."""
    model = kinds.study.models.get(step.params.model)
    if model is None:
        return None
    asked, weights = kinds.request(step), fingerprint(model_identity(model, kinds.folder))
    return CostSetting(model=weights, gpus=asked.gpus * asked.replicas, gpu=kinds.gpu_of(step))


def profile_path(store: Store, study: str) -> str:
    """Where a study's profile is kept."""
    return posixpath.join(study_folder(store, study), "profile.json")
