"""Benchmarks that a rule grades, that the sandbox runs or that a model judges, which a plug-in adds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from inspect import iscoroutinefunction
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

from actors.sandbox.protocol.job import Check
from pipelines.evaluate.items.item import Grade, Item
from pipelines.evaluate.items.scoring import Scoring
from pipelines.evaluate.judged.judge_client import JudgeCase, JudgeClient, Judgement
from pipelines.evaluate.registry import CODE, GRADED, JUDGED, REFERENCES, SCORING, ReadReferences
from pipelines.rows.types import AnswerRow
from pipelines.study.plugins.addition import Entry, NamedAddition, check_function, check_type
from pipelines.study.plugins.code import PluginMistake
from pipelines.study.spec.evaluation.benchmark_kinds import BENCHMARK_KINDS, BenchmarkKind
from pipelines.study.spec.evaluation.benchmarks import Benchmark, Judge
from prompts.catalog import catalog

ReadItems = Callable[[Benchmark, Path], Sequence[Item]]


@dataclass(frozen=True)
class _Task(NamedAddition):
    """What all benchmarks have: `kind` is what keys, checks and plans need, and `items` reads the items of a file."""

    what: ClassVar[str] = "benchmark"
    does: ClassVar[str]
    table: ClassVar[dict[str, Any]]
    arguments: ClassVar[tuple[str, ...]]

    kind: BenchmarkKind
    items: ReadItems

    def __post_init__(self) -> None:
        super().__post_init__()
        check_type(self.kind, BenchmarkKind, "'kind' of a benchmark")
        check_function(self.items, "'items' of a benchmark", "bench", "path")
        check_function(getattr(self, self.does), f"'{self.does}' of a benchmark", *self.arguments)

    def entries(self) -> Iterator[Entry]:
        yield Entry(BENCHMARK_KINDS, self.name, self.kind)
        module = SimpleNamespace(items=self.items, **{self.does: getattr(self, self.does)})
        yield Entry(self.table, self.name, module)
        if scoring := getattr(self, "scoring", None):
            yield Entry(SCORING, self.name, scoring)

    def problem(self) -> str | None:
        for prompt in (*self.kind.prompts, *self.kind.judge_prompts):
            if prompt not in catalog():
                return f"the benchmark '{self.name}' uses the prompt '{prompt}', which does not exist"
        return None


@dataclass(frozen=True)
class GradedBenchmark(_Task):
    """A benchmark whose answers a rule grades: `grade` returns the `Grade` of an answer."""

    does: ClassVar[str] = "grade"
    table: ClassVar[dict[str, Any]] = GRADED
    arguments: ClassVar[tuple[str, ...]] = ("bench", "item", "row")

    grade: Callable[[Benchmark, Item, AnswerRow], Grade]
    scoring: Scoring | None = None


@dataclass(frozen=True)
class CodeBenchmark(_Task):
    """A benchmark whose answers are programs: `check` returns the `Check` that the sandbox runs for an answer."""

    does: ClassVar[str] = "check"
    table: ClassVar[dict[str, Any]] = CODE
    arguments: ClassVar[tuple[str, ...]] = ("bench", "item", "response")

    check: Callable[[Benchmark, Item, str], Check]
    scoring: Scoring | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.kind.runs_code:
            raise PluginMistake("'kind' of a benchmark of programs must have runs_code=True")


@dataclass(frozen=True)
class JudgedBenchmark(_Task):
    """A benchmark whose answers a model judges: `judge` (async) returns the `Judgement` of an answer."""

    does: ClassVar[str] = "judge"
    table: ClassVar[dict[str, Any]] = JUDGED
    arguments: ClassVar[tuple[str, ...]] = ("judge_client", "case", "judge_config")

    judge: Callable[[JudgeClient, JudgeCase, Judge], Awaitable[Judgement]]
    scoring: Scoring | None = None
    references: ReadReferences | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.kind.judging:
            raise PluginMistake("'kind' of a judged benchmark needs 'judging'")
        if not iscoroutinefunction(self.judge):
            raise PluginMistake("'judge' of a benchmark must be an 'async def' function")

    def entries(self) -> Iterator[Entry]:
        yield from super().entries()
        if self.references is not None:
            yield Entry(REFERENCES, self.name, self.references)
