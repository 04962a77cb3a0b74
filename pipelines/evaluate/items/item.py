"""The items of benchmarks and the grades of answers, in one form for all benchmarks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import prompts
from pipelines.study.spec.evaluation.benchmarks import Benchmark

ACCURACY = "accuracy"
Turns = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Item:
    """One task of a benchmark.

    `id` is unique within the benchmark. `messages` are pairs of role and text; the last one is the user's. Each of
    `follow_up_turns` is a user turn that is sent after the answer to the previous turn. `kind` groups items (a subject,
    a category), `temperature` is that of the answer, and `data` is the row of the benchmark's file.
    """

    id: str
    messages: Turns
    reference: str = ""
    kind: str = ""
    level: int = 0
    follow_up_turns: tuple[str, ...] = ()
    temperature: float = 0.0
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Grade:
    """The grade of an answer: whether it is correct, and its measures (name -> (value, weight)).

    A benchmark's score is the weighted mean of a measure over the rows. `words` are what was parsed from the answer or
    from the judge's replies.
    """

    correct: bool
    measures: Mapping[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])
    words: tuple[str, ...] = ()


def exact_grade(correct: bool, *words: str) -> Grade:
    """Return the grade of an answer whose only measure is whether it is correct."""
    return Grade(correct, {ACCURACY: (float(correct), 1.0)}, words)


def template(bench: Benchmark) -> prompts.Prompt:
    """Return the prompt template of a benchmark's items. The benchmark must have exactly one prompt."""
    (name,) = bench.prompts
    return bench.catalog.get(name)
