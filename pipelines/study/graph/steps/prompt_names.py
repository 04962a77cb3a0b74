"""The prompts of each kind of step, and their digests and parser version as a part of a step's identity."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, cast

import prompts
from pipelines.study.graph.steps.fingerprint import Description, describe
from pipelines.study.plugins.active import on_change, versions
from pipelines.study.spec.pairs.scoring import Question
from prompts import Catalog

AUTOIF_AUGMENT = "autoif_augment"
AUTOIF_BACK_TRANSLATE = "autoif_back_translate"
AUTOIF_SCORE = "autoif_score"
AUTOIF_MATERIAL = "autoif_material"
ANSWER_PROMPTS = ("answer", "answer_with_input")
CONSTRAINED_ANSWER_PROMPT = "autoif_answer"
OPTIMIZER_PROMPTS = ("auto_evol_analyze", "auto_evol_optimize")


@lru_cache(maxsize=64)
def describe_prompts(catalog: Catalog, *names: str) -> Description:
    """Return the digests of prompts by name, and the parsers' version or, for those of plug-ins, their code."""
    found = {name: catalog.get(name) for name in names}
    plugins = versions(*(("parser", prompt.parser) for prompt in found.values()))
    parsers = {"parser": prompts.PARSER_VERSION, **({"plugins": plugins} if plugins else {})}
    return describe(parsers | {name: prompt.digest for name, prompt in found.items()})


def unused_prompts(names: Collection[str], catalog: Catalog, payloads: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return those of the prompts with these names that are a part of none of the steps' descriptions."""
    distinct = {id(payload): payload for payload in payloads} if names else {}
    used = {part for payload in distinct.values() for part in _parts(payload)}
    return [name for name in names if (name, catalog.get(name).digest) not in used]


def _parts(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the texts of nested mappings with their names."""
    for name, value in values.items():
        if isinstance(value, str):
            yield name, value
        elif isinstance(value, Mapping):
            yield from _parts(cast(Mapping[str, Any], value))


on_change(describe_prompts.cache_clear)


INSTRUCTION_JUDGE_PROMPTS: Mapping[Question, str] = {
    "difficulty": "difficulty",
    "difficulty_score": "difficulty_score",
    "category": "category",
    "keywords": "keyword",
    "tags": "tags",
}
