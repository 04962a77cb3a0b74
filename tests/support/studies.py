"""Small studies on the scripted engine, for tests of the main path."""

from __future__ import annotations

from typing import Any

from pipelines.study.file.study_type import study_type
from pipelines.study.graph.steps.methods import rotation
from pipelines.study.graph.steps.params.instructions import EvolveParams
from pipelines.study.spec.common.basics import SamplingSpec
from pipelines.study.spec.study import Study


def scripted_study(**changes: Any) -> Study:
    """2 evolvers x 2 rounds (and the seeds) x 2 teachers, scored, no students. `changes` replace top-level keys."""
    model = {"engine": "scripted", "cpus": 0.1}
    content: dict[str, Any] = {
        "study": "scripted",
        "seeds": [{"name": "world", "world": {"count": 20}}],
        "models": {name: {"source": name, **model} for name in ("small", "large", "scorer")},
        "evolution": {"evolvers": ["small", "large"], "rounds": 2},
        "responses": {"teachers": ["small", "large"]},
        "scoring": {"scorer": "scorer"},
    }
    return study_type().model_validate(content | changes)


def evolve_job(**changes: Any) -> EvolveParams:
    """Return the parameters of the first round of Evol-Instruct, with defaults. `changes` replace them."""
    job: dict[str, Any] = {
        "model": "small",
        "round": 1,
        "methods": rotation(True),
        "assignment": "rotation",
        "input": "copy",
        "growth": None,
        "eliminates": False,
        "sampling": SamplingSpec(),
    }
    return EvolveParams(**job | changes)


STUDENTS: dict[str, Any] = {
    "recipes": {"full": {}, "lora": {"tuning": "lora"}},
    "students": [{"model": "small", "recipe": "full"}, {"model": "large", "recipe": "lora"}],
    "benchmarks": [{"name": "world", "world": {"count": 10}}],
}
