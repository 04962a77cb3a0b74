"""The Python interface of evolgrid: load a study, plan it, run it, and read its results.

import evolgrid

study = evolgrid.load("studies/quickstart.yaml")
print(study.plan())
study.run()
study.results("pandas")
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version as _version
from typing import TYPE_CHECKING, Any

from cluster.errors import ClusterError, EvolgridError
from pipelines.api.errors import RunError
from pipelines.api.stores import ResultStore, StoredStudy, open_store
from pipelines.api.study import Study, load
from pipelines.errors import BudgetSpent, InputError, InputErrors, StepFailed
from pipelines.store.errors import CorruptStore, LeaseLost, StudyLocked
from pipelines.study.spec.common.basics import PromptFile, SamplingSpec, World
from pipelines.study.spec.common.model import Model
from pipelines.study.spec.common.trackers import Tracker
from pipelines.study.spec.evaluation.benchmarks import Benchmark
from pipelines.study.spec.instructions.evolution import Evolution
from pipelines.study.spec.instructions.seeds import Seeds
from pipelines.study.spec.pairs.responses import Responses
from pipelines.study.spec.pairs.scoring import Contamination, Diversity, Judging, Scoring
from pipelines.study.spec.pairs.selection import Selection
from pipelines.study.spec.study import Budget
from pipelines.study.spec.study import Study as StudySpec
from pipelines.study.spec.training.recipes import Recipe, Student

if TYPE_CHECKING:
    from pipelines.api.plans import PlannedStep, StudyPlan
    from pipelines.api.previews import StudyPreview
    from pipelines.api.runs import RunSummary

__version__ = _version("evolgrid")
__all__ = [
    "Benchmark",
    "Budget",
    "BudgetSpent",
    "ClusterError",
    "Contamination",
    "CorruptStore",
    "Diversity",
    "EvolgridError",
    "Evolution",
    "InputError",
    "InputErrors",
    "Judging",
    "LeaseLost",
    "Model",
    "PlannedStep",
    "PromptFile",
    "Recipe",
    "Responses",
    "ResultStore",
    "RunError",
    "RunSummary",
    "SamplingSpec",
    "Scoring",
    "Seeds",
    "Selection",
    "StepFailed",
    "StoredStudy",
    "Student",
    "Study",
    "StudyLocked",
    "StudyPlan",
    "StudyPreview",
    "StudySpec",
    "Tracker",
    "World",
    "__version__",
    "load",
    "open_store",
]
# these types are in modules that load Ray or Arrow
_LATE = {
    "PlannedStep": "plans",
    "StudyPlan": "plans",
    "StudyPreview": "previews",
    "RunSummary": "runs",
}


def __getattr__(name: str) -> Any:
    if name in _LATE:
        return getattr(import_module(f"pipelines.api.{_LATE[name]}"), name)
    raise AttributeError(f"module 'evolgrid' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
