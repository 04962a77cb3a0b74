"""What students are asked after training, and who judges their answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, model_validator

from actors.sandbox.protocol.job import Level
from pipelines.study.spec.basics import Name, StrictModel, World

Task = Literal[
    "ifeval",
    "gsm8k",
    "math",
    "humaneval",
    "mbpp",
    "mmlu",
    "ceval",
    "followbench",
    "alpaca_eval",
    "arena_hard",
    "mt_bench",
    "compare",
]
Protocol = Literal["lm-eval", "opencompass"]
CODE_BENCHMARKS: frozenset[str] = frozenset({"humaneval", "mbpp"})
MULTI_SUBJECT_BENCHMARKS: frozenset[str] = frozenset({"mmlu", "ceval"})
JUDGED_BENCHMARKS: frozenset[str] = frozenset({"followbench", "alpaca_eval", "arena_hard", "mt_bench", "compare"})
PAIRWISE_BENCHMARKS: frozenset[str] = frozenset({"alpaca_eval", "arena_hard", "compare"})
OPENCOMPASS_BENCHMARKS: frozenset[str] = frozenset({"gsm8k", "math"}) | CODE_BENCHMARKS | MULTI_SUBJECT_BENCHMARKS
MAX_TOKENS_OF_KIND: Mapping[str, int] = {"world": 64, "ifeval": 1280, "humaneval": 1024, "mbpp": 512, "mt_bench": 1024}
HARNESS_MAX_TOKENS = 256  # lm-eval's own bound for tasks that name none
OPENCOMPASS_MAX_TOKENS = 512  # OpenCompass' bound, and 2048 for open answers
OPEN_ANSWER_MAX_TOKENS = 2048
_FIELDS_OF_KIND: Mapping[str, frozenset[str]] = {
    "protocol": OPENCOMPASS_BENCHMARKS,
    "shots": frozenset({"gsm8k", "math", "mbpp", "lm_eval"}) | MULTI_SUBJECT_BENCHMARKS,
    "shots_file": frozenset({"gsm8k"}),
    "subjects": MULTI_SUBJECT_BENCHMARKS,
    "thousands": frozenset({"gsm8k"}),
    "level": CODE_BENCHMARKS,
    "judge": JUDGED_BENCHMARKS,
}
_FIELDS_OF_JUDGE: Mapping[str, frozenset[str]] = {
    "reference": PAIRWISE_BENCHMARKS | {"mt_bench"},
    "swap": frozenset({"compare"}),
    "verdict": frozenset({"alpaca_eval"}),
    "length_control": frozenset({"alpaca_eval"}),
}
_FIELDS_OF_PROTOCOL: Mapping[str, Protocol] = {"shots_file": "lm-eval", "thousands": "opencompass"}


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


def _forbid_fields(kind: str, given: set[str], kinds_of_field: Mapping[str, frozenset[str]]) -> None:
    """ValueError for a key that has no meaning for this kind of benchmark."""
    for name in sorted(given & kinds_of_field.keys()):
        if kind not in kinds_of_field[name]:
            raise ValueError(f"'{name}' does not belong to {kind}; it is for {', '.join(sorted(kinds_of_field[name]))}")


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
        kind = self.kind
        _forbid_fields(kind, self.model_fields_set, _FIELDS_OF_KIND)
        _forbid_fields(kind, self.judge.model_fields_set if self.judge else set(), _FIELDS_OF_JUDGE)
        for name in sorted(self.model_fields_set & _FIELDS_OF_PROTOCOL.keys()):
            if self.protocol != _FIELDS_OF_PROTOCOL[name]:
                raise ValueError(f"'{name}' belongs to 'protocol: {_FIELDS_OF_PROTOCOL[name]}'")
        if kind in JUDGED_BENCHMARKS and self.judge is None:
            raise ValueError(f"{kind} needs a judge: add for example 'judge: {{model: MODEL}}'")
        if kind in PAIRWISE_BENCHMARKS and self.judge and self.judge.reference is None:
            raise ValueError(f"{kind} compares answers: add 'reference' under 'judge', a model or a file of answers")
        return self

    @property
    def kind(self) -> str:
        """The task, "world" or "lm_eval"."""
        return self.task or ("world" if self.world else "lm_eval")

    @property
    def harness(self) -> bool:
        """Whether lm-eval makes the prompts and reads the answers."""
        own = self.kind in JUDGED_BENCHMARKS | CODE_BENCHMARKS | {"world"}
        return not own and self.protocol == "lm-eval"

    @property
    def answer_tokens(self) -> int:
        """The bound of an answer."""
        if self.max_tokens is not None:
            return self.max_tokens
        if self.protocol == "opencompass":
            return OPENCOMPASS_MAX_TOKENS
        return MAX_TOKENS_OF_KIND.get(
            self.kind, OPEN_ANSWER_MAX_TOKENS if self.kind in JUDGED_BENCHMARKS else HARNESS_MAX_TOKENS
        )
