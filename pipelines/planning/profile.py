"""Profile of a study: measurements on two small samples of its seeds, from which the full time is extrapolated.

Two sample sizes determine the fixed cost of a step and its cost per row. The rest of the runs' wall time (starting Ray
and processes, the report) is stored as the overhead of a run.
"""

from __future__ import annotations

import posixpath

from pydantic import BaseModel

from pipelines.planning.machine_types import MachineTypes
from pipelines.planning.workload import CostSetting, LinearCost
from pipelines.store.store import Store
from pipelines.store.studies.run_record import study_folder
from pipelines.study.graph.steps.fingerprint import fingerprint
from pipelines.study.graph.steps.identities import model_identity
from pipelines.study.graph.steps.step import Step


class Profile(BaseModel):
    """The measurements of a profile. `lines` are costs by workload class, `overhead` is in seconds per run.

    `accelerators` are the types of GPUs, as far as known.
    """

    created: str
    cpus: int
    gpus: int
    accelerators: list[str] = []
    overhead: float
    lines: dict[str, LinearCost]

    @property
    def description(self) -> str:
        """When and on what resources the profile was measured, as text."""
        kinds = f" ({', '.join(self.accelerators)})" if self.accelerators else ""
        return f"a profile on {self.cpus} CPUs and {self.gpus} GPUs{kinds}, {self.created[:10]}"


def load_profile(store: Store, study: str) -> Profile | None:
    """Return the profile of a study; None if this store has none."""
    try:
        return Profile.model_validate_json(store.read_bytes(profile_path(store, study)))
    except FileNotFoundError:
        return None


def profile_mismatch(step: Step, cost: LinearCost | None, machine_types: MachineTypes) -> str | None:
    """Return why a measured cost does not apply to a step (other model or GPUs); None if it does."""
    current, measured = setting_of(step, machine_types), cost and cost.setting
    if cost is None:
        return "was not measured" if current else None
    if current is None:
        return None
    if measured is None or measured.model != current.model:
        return "has other weights or settings than the measured model"
    if measured.gpus != current.gpus:
        return f"was measured on {measured.gpus:g} GPUs and will have {current.gpus:g}"
    if current.gpu and measured.gpu != current.gpu:
        return f"was measured on GPUs of type {measured.gpu or 'unknown'} and will run on {current.gpu}"
    return None


def setting_of(step: Step, kinds: MachineTypes) -> CostSetting | None:
    """Return a step's model and GPUs; None for a step without a model."""
    model = kinds.study.models.get(step.params.model)
    if model is None:
        return None
    asked, weights = kinds.request(step), fingerprint(model_identity(model, kinds.folder))
    return CostSetting(model=weights, gpus=asked.gpus * asked.replicas, gpu=kinds.gpu_of(step))


def profile_path(store: Store, study: str) -> str:
    """Return the path of a study's profile."""
    return posixpath.join(study_folder(store, study), "profile.json")
