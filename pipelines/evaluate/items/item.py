"""What a benchmark asks, and what is found out about an answer: the same for all benchmarks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import prompts
from pipelines.study.spec.benchmarks import Benchmark

ACCURACY = "accuracy"
Turns = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Item:
    """One task of a benchmark. `id` is the benchmark's own; `messages` are (role, text), the last one the user's.

    `follow_up_turns` are further turns of the user, each asked after the answer to the one before. `kind` groups tasks
    (a subject, a category); `data` is the benchmark's own row.
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
    """Whether an answer is right, and its measures: name -> (value, weight).

    A benchmark's number is the weighted mean of a measure over the rows. `words` say how the answer was read.
    """

    correct: bool
    measures: Mapping[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])
    words: tuple[str, ...] = ()


def exact_grade(correct: bool, *words: str) -> Grade:
    """The grade of an answer that is right or wrong and nothing else."""
    return Grade(correct, {ACCURACY: (float(correct), 1.0)}, words)


def template(bench: Benchmark) -> prompts.Prompt:
    """Return the prompt that a benchmark's items are asked by, for benchmarks with exactly one."""
    (name,) = bench.prompts
    return prompts.get(name)
