"""What students are asked after training, and who judges their answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from actors.sandbox.protocol.job import Level
from pipelines.study.spec.basics import Name, StrictModel, World, name_from
from pipelines.study.spec.benchmark_kinds import (
    BENCHMARK_KINDS,
    OPEN_ANSWER_MAX_TOKENS,
    OPENCOMPASS_MAX_TOKENS,
    BenchmarkKind,
    task_names,
)

Protocol = Literal["lm-eval", "opencompass"]
_PROTOCOL_OF_KEY: Mapping[str, Protocol] = {"shots_file": "lm-eval", "thousands": "opencompass"}


Task = Annotated[str, *name_from(task_names)]


class Judge(StrictModel):
    """The model that judges answers, and how.

    `swap` of `compare` is Cherry_LLM's scheme (2308.12032): both orders are asked, and a win is one that holds.
    """

    model: Name
    reference: str | None = Field(
        default=None, description="what answers are compared with: a model of this study, or a file of answers"
    )
    swap: bool = Field(default=False, description="compare: ask in both orders")
    verdict: Literal["probability", "label"] = Field(
        default="probability",
        description="alpaca_eval: the probabilities of the labels m and M, or the label that is written",
    )
    max_tokens: int = Field(default=OPEN_ANSWER_MAX_TOKENS, gt=0, description="of a judgement")
    length_control: str | None = Field(
        default=None, description="alpaca_eval: its df_gamed.csv, for the length-controlled win rate"
    )


def _forbid_other_keys(kind: str, given: set[str], keys_of_kinds: Mapping[str, frozenset[str]]) -> None:
    """Raise ValueError for a key that has a meaning only for other kinds of benchmark."""
    for name in sorted(given - keys_of_kinds[kind]):
        if kinds := sorted(other for other, keys in keys_of_kinds.items() if name in keys):
            raise ValueError(f"'{name}' does not belong to {kind}; it is for {', '.join(kinds)}")


class Benchmark(StrictModel):
    """What the students are asked after training: tasks of the world, a benchmark, or any task of lm-eval."""

    name: Name
    world: World | None = None
    task: Task | None = None
    lm_eval: str | None = Field(default=None, description="any task or group of lm-eval, as it is there")
    file: str | None = Field(default=None, description="its items: a file, folder or zip (relative to the study file)")
    shots_file: str | None = Field(default=None, description="gsm8k as in lm-eval: where its examples come from")
    revision: str | None = Field(default=None, description="items from the hub: the commit")
    protocol: Protocol = Field(default="lm-eval", description="whose prompts and extraction: docs/benchmarks.md")
    shots: int | None = Field(default=None, ge=0, description="examples in the prompt; default: the protocol's")
    subjects: list[str] | None = Field(default=None, min_length=1, description="only these; default: all")
    limit: int | None = Field(default=None, gt=0, description="the first items only (of each subject)")
    max_tokens: int | None = Field(default=None, gt=0, description="of an answer; default: the benchmark's")
    thousands: bool = Field(default=True, description="gsm8k by opencompass: 1,200 is read as 1200 (not as 200)")
    level: Level = Field(default="L2", description="code: the sandbox's protection")
    judge: Judge | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Benchmark:
        if (self.world, self.task, self.lm_eval).count(None) != 2:
            raise ValueError("give exactly one of 'world', 'task' and 'lm_eval'")
        if self.world and (self.file or self.limit):
            raise ValueError("the world makes its own tasks: give their number as its 'count'")
        return self

    @model_validator(mode="after")
    def _of_the_task(self) -> Benchmark:
        kind, judging = self.kind, self.traits.judging
        _forbid_other_keys(kind, self.model_fields_set, {name: one.keys for name, one in BENCHMARK_KINDS.items()})
        for name in sorted(self.model_fields_set & _PROTOCOL_OF_KEY.keys()):
            if self.protocol != _PROTOCOL_OF_KEY[name]:
                raise ValueError(f"'{name}' belongs to 'protocol: {_PROTOCOL_OF_KEY[name]}'")
        if judging and self.judge is None:
            raise ValueError(f"{kind} needs a judge: add for example 'judge: {{model: MODEL}}'")
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
        return self

    @property
    def kind(self) -> str:
        """The task, "world" or "lm_eval"."""
        return self.task or ("world" if self.world else "lm_eval")

    @property
    def traits(self) -> BenchmarkKind:
        """Return what is the same for all benchmarks of this kind."""
        return BENCHMARK_KINDS[self.kind]

    @property
    def harness(self) -> bool:
        """Whether lm-eval makes the prompts and reads the answers."""
        return self.traits.harness and self.protocol == "lm-eval"

    @property
    def prompts(self) -> tuple[str, ...]:
        """Return the prompts of its items; none where lm-eval makes them, or the items are whole prompts."""
        return (self.traits.opencompass_prompts or ()) if self.protocol == "opencompass" else self.traits.prompts

    @property
    def answer_tokens(self) -> int:
        """The bound of an answer."""
        if self.max_tokens is not None:
            return self.max_tokens
        return OPENCOMPASS_MAX_TOKENS if self.protocol == "opencompass" else self.traits.max_tokens
