"""A short profile of a study: its own steps on a few seeds, twice, from which the time of all of it is foretold.

Two sizes tell what a step costs before its first row and what each row costs. What stays unexplained of the runs' wall
time (starting Ray and processes, the report) is kept as the overhead of a run.
"""

from __future__ import annotations

import posixpath

from pydantic import BaseModel

from pipelines.planning.machine_types import Kinds
from pipelines.planning.workload import Line, Setting
from pipelines.store.store import Store
from pipelines.store.studies.run_record import study_folder
from pipelines.study.graph.fingerprint import fingerprint
from pipelines.study.graph.identities import identity
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
    lines: dict[str, Line]

    @property
    def told(self) -> str:
        """Where the numbers come from."""
        kinds = f" ({', '.join(self.accelerators)})" if self.accelerators else ""
        return f"a profile on {self.cpus} CPUs and {self.gpus} GPUs{kinds}, {self.created[:10]}"


def load_profile(store: Store, study: str) -> Profile | None:
    """The profile of a study, if it was ever measured in this store."""
    try:
        return Profile.model_validate_json(store.read_bytes(profile_path(store, study)))
    except FileNotFoundError:
        return None


def misfit(step: Step, line: Line | None, kinds: Kinds) -> str | None:
    """Why a line says nothing of a step: it is of another model, or of other GPUs. None if it does."""
    now, then = setting_of(step, kinds), line and line.setting
    if line is None:
        return "was not measured" if now else None
    if now is None:
        return None
    if then is None or then.model != now.model:
        return "has other weights or settings than what was measured"
    if then.gpus != now.gpus:
        return f"was measured on {then.gpus:g} GPUs and is to have {now.gpus:g}"
    if now.gpu and then.gpu != now.gpu:
        return f"was measured on GPUs of {then.gpu or 'an unknown kind'} and will lie on {now.gpu}"
    return None


def setting_of(step: Step, kinds: Kinds) -> Setting | None:
    """What a step's model is and lies on; None for a step that asks none."""
    model = kinds.study.models.get(getattr(step.job, "model", ""))
    if model is None:
        return None
    asked, weights = kinds.asked(step), fingerprint(identity(model, kinds.folder))
    return Setting(model=weights, gpus=asked.gpus * asked.replicas, gpu=kinds.gpu(step))


def profile_path(store: Store, study: str) -> str:
    """Where a study's profile is kept."""
    return posixpath.join(study_folder(store, study), "profile.json")
