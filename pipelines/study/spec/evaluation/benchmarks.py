"""The `benchmarks` block of a study file: the benchmarks that students answer after training, and their judges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, PrivateAttr, model_validator

from actors.sandbox.protocol.job import Level
from pipelines.study.spec.common.basics import ModelName, Name, StrictModel, SystemPrompt, World, name_from
from pipelines.study.spec.evaluation.benchmark_kinds import (
    BENCHMARK_KINDS,
    OPEN_ANSWER_MAX_TOKENS,
    OPENCOMPASS_MAX_TOKENS,
    BenchmarkKind,
    task_names,
)
from prompts import STANDARD_CATALOG, Catalog

Protocol = Literal["lm-eval", "opencompass"]
_PROTOCOL_OF_KEY: Mapping[str, Protocol] = {"shots_file": "lm-eval", "thousands": "opencompass"}


Task = Annotated[str, *name_from(task_names)]


class OtherStudent(StrictModel):
    """The student that differs in its selection only: it has the same data set, base model, recipe and seed."""

    selection: Name


class Judge(StrictModel):
    """The model that judges answers, and how it does so.

    `swap` is the scheme of Cherry_LLM (2308.12032): the judge sees the two answers in both orders, and the verdicts are
    combined.
    """

    model: ModelName
    reference: str | OtherStudent | None = Field(
        default=None,
        description="reference answers to compare with: a model of this study, a file of answers, or those of the "
        "student with another selection, {selection: NAME}",
    )
    swap: bool = Field(default=False, description="compare: judge in both orders")
    verdict: Literal["probability", "label"] = Field(
        default="probability",
        description="alpaca_eval: use the probabilities of the labels m and M, or the label in the reply",
    )
    max_tokens: int = Field(default=OPEN_ANSWER_MAX_TOKENS, gt=0, description="limit of a judge's reply")
    length_control: str | None = Field(
        default=None, description="alpaca_eval: path of its df_gamed.csv, for the length-controlled win rate"
    )


def _forbid_other_keys(kind: str, given: set[str], keys_of_kinds: Mapping[str, frozenset[str]]) -> None:
    """Raise ValueError for a key that is allowed only for other kinds of benchmark."""
    for name in sorted(given - keys_of_kinds[kind]):
        if kinds := sorted(other for other, keys in keys_of_kinds.items() if name in keys):
            raise ValueError(f"'{name}' is not allowed for {kind}, only for {', '.join(kinds)}")


class Benchmark(StrictModel):
    """A benchmark that students answer after training: tasks of the world, a known benchmark, or any lm-eval task."""

    name: Name
    world: World | None = None
    task: Task | None = None
    lm_eval: str | None = Field(default=None, description="lm-eval's name of any of its tasks or groups")
    file: str | None = Field(
        default=None, description="the items: a file, folder or zip file (relative to the study file)"
    )
    shots_file: str | None = Field(default=None, description="gsm8k with lm-eval: file of the examples (shots)")
    revision: str | None = Field(default=None, description="items from the hub: the commit")
    protocol: Protocol = Field(
        default="lm-eval", description="whose prompts and answer extraction to use, see docs/benchmarks.md"
    )
    shots: int | None = Field(default=None, ge=0, description="number of examples; default: the protocol's")
    subjects: list[str] | None = Field(default=None, min_length=1, description="only these subjects; default: all")
    limit: int | None = Field(default=None, gt=0, description="only the first items (of each subject)")
    max_tokens: int | None = Field(default=None, gt=0, description="limit of an answer; default: the benchmark's")
    thousands: bool = Field(default=True, description="gsm8k with opencompass: read 1,200 as 1200 instead of 200")
    level: Level = Field(default="L2", description="code: protection level of the sandbox")
    system: SystemPrompt | None = Field(
        default=None,
        description="system prompt of the model that answers, before that of an item: a text, or {file: ...}",
    )
    judge: Judge | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Benchmark:
        if (self.world, self.task, self.lm_eval).count(None) != 2:
            raise ValueError("give exactly one of 'world', 'task' and 'lm_eval'")
        if self.world and (self.file or self.limit):
            raise ValueError("'file' and 'limit' are not allowed with 'world': set the number of tasks with 'count'")
        return self

    @model_validator(mode="after")
    def _of_the_task(self) -> Benchmark:
        kind, judging = self.kind, self.traits.judging
        _forbid_other_keys(kind, self.model_fields_set, {name: one.keys for name, one in BENCHMARK_KINDS.items()})
        for name in sorted(self.model_fields_set & _PROTOCOL_OF_KEY.keys()):
            if self.protocol != _PROTOCOL_OF_KEY[name]:
                raise ValueError(f"'{name}' is only allowed with 'protocol: {_PROTOCOL_OF_KEY[name]}'")
        if judging and self.judge is None:
            raise ValueError(f"{kind} needs a judge: add, for example, 'judge: {{model: MODEL}}'")
        return self

    @model_validator(mode="after")
    def _judge_of_the_task(self) -> Benchmark:
        kind, judging = self.kind, self.traits.judging
        if judging is None or self.judge is None:
            return self
        judged = {name: one.judging.keys for name, one in BENCHMARK_KINDS.items() if one.judging}
        _forbid_other_keys(kind, self.judge.model_fields_set, judged)
        if judging.reference == "required" and self.judge.reference is None:
            raise ValueError(f"{kind} compares answers: add 'reference' under 'judge', a model or a file of answers")
        if judging.reference != "required" and self.rival_selection is not None:
            raise ValueError(f"{kind} compares no answers: its 'reference' is a model or a file of answers")
        return self

    @property
    def rival_selection(self) -> str | None:
        """The selection of the students whose answers are compared with; None if these are a model's or a file's."""
        reference = self.judge.reference if self.judge else None
        return reference.selection if isinstance(reference, OtherStudent) else None

    @property
    def kind(self) -> str:
        """The task, "world" or "lm_eval"."""
        return self.task or ("world" if self.world else "lm_eval")

    _catalog: Catalog = PrivateAttr(
        default=STANDARD_CATALOG
    )  # set by the graph; the digests of prompts are in the keys

    @property
    def catalog(self) -> Catalog:
        """The study's prompts."""
        return self._catalog

    def with_catalog(self, catalog: Catalog) -> Benchmark:
        """Return the benchmark with a study's prompts."""
        copy = self.model_copy()
        copy._catalog = catalog
        return copy

    @property
    def system_text(self) -> str:
        """The system prompt as text, if the steps of the study give it; files are read when these are built."""
        return self.system if isinstance(self.system, str) else ""

    @property
    def traits(self) -> BenchmarkKind:
        """Return the properties that all benchmarks of this kind share."""
        return BENCHMARK_KINDS[self.kind]

    @property
    def harness(self) -> bool:
        """Whether lm-eval builds the prompts and grades the answers."""
        return self.traits.harness and self.protocol == "lm-eval"

    @property
    def prompts(self) -> tuple[str, ...]:
        """Return the prompt templates of the items; empty if lm-eval builds prompts or items are complete prompts."""
        return (self.traits.opencompass_prompts or ()) if self.protocol == "opencompass" else self.traits.prompts

    @property
    def answer_tokens(self) -> int:
        """The maximum number of tokens of an answer."""
        if self.max_tokens is not None:
            return self.max_tokens
        return OPENCOMPASS_MAX_TOKENS if self.protocol == "opencompass" else self.traits.max_tokens
