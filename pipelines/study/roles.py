"""The roles of a study: every place that refers to a model, and whether the model writes or classifies there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pipelines.study.file.yaml_tree import Loc
from pipelines.study.spec.evolution import Evolution
from pipelines.study.spec.study import Study


@dataclass(frozen=True, slots=True)
class Role:
    """A place that names a model. A model that `classifies` gives logits, any other one reads and writes text."""

    loc: Loc
    model: str
    classifies: bool = False


def roles(study: Study) -> Iterator[Role]:
    """Yield all roles of a study."""
    for number, evolution in enumerate(study.evolution):
        yield from _evolution_roles(("evolution", number), evolution)
    for index, name in enumerate(study.responses.teachers):
        yield Role(("responses", "teachers", index), name)
    for index, decoding in enumerate(study.responses.decodings):
        if decoding.reward:
            yield Role(("responses", "decodings", index, "reward"), decoding.reward, classifies=True)
    if study.scoring is not None:
        yield Role(("scoring", "scorer"), study.scoring.scorer)
    for index, name in enumerate(study.rewards):
        yield Role(("rewards", index), name, classifies=True)
    if study.instruction_reward:
        yield Role(("instruction_reward",), study.instruction_reward, classifies=True)
    if study.judging is not None:
        yield Role(("judging", "judge"), study.judging.judge)
    for index, student in enumerate(study.students):
        yield Role(("students", index, "model"), student.model)
    for index, benchmark in enumerate(study.benchmarks):
        if benchmark.judge:
            yield Role(("benchmarks", index, "judge", "model"), benchmark.judge.model)


def _evolution_roles(loc: Loc, evolution: Evolution) -> Iterator[Role]:
    for index, name in enumerate(evolution.evolvers):
        yield Role((*loc, "evolvers", index), name)
    if evolution.elimination and evolution.elimination.judge:
        yield Role((*loc, "elimination", "judge"), evolution.elimination.judge)
    if evolution.optimization:
        yield Role((*loc, "optimization", "optimizer"), evolution.optimization.optimizer)
    if evolution.autoif and evolution.autoif.nli:
        yield Role((*loc, "autoif", "nli"), evolution.autoif.nli, classifies=True)
    if evolution.autoif and evolution.autoif.judge:
        yield Role((*loc, "autoif", "judge"), evolution.autoif.judge)
