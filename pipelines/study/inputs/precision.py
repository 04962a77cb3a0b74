"""Says in which precision the models of a study compute on a CPU without native bfloat16."""

from __future__ import annotations

from actors.engines.registry import engine_info
from cluster.resources.bfloat16 import bfloat16_slowdown, has_native_bfloat16
from pipelines.study.spec.common.model import Model
from pipelines.study.spec.study import Study
from pipelines.study.spec.training.recipes import Student


def precision_notes(study: Study) -> list[str]:
    """Return one line if `auto` means float32 on this machine's CPU, and one for each bfloat16 that makes it slow."""
    if has_native_bfloat16():
        return []
    served = {f"models.{name}": model.dtype for name, model in study.models.items() if _computes_on_cpu(model)}
    trained = {f"recipes.{one.recipe}": _precision(study, one) for one in study.students if _trains_on_cpu(study, one)}
    places = served | trained
    notes = [
        f"{place}: bfloat16 takes {bfloat16_slowdown():.0f} times as long as float32 on this CPU, which does not have "
        "it natively (measured). Leave it out: 'auto' computes in float32 here."
        for place, precision in places.items()
        if precision == "bfloat16"
    ]
    if "auto" in places.values():
        notes.append("This CPU has no native bfloat16: where the study leaves the precision open, it is float32.")
    return notes


def _computes_on_cpu(model: Model) -> bool:
    return not model.gpus and engine_info(model.engine, model.gpus).has_weights


def _trains_on_cpu(study: Study, student: Student) -> bool:
    return not student.worker_gpus(study.models[student.model].gpus)


def _precision(study: Study, student: Student) -> str:
    recipe = study.recipes[student.recipe]
    return study.models[student.model].dtype if recipe.precision == "auto" else recipe.precision
