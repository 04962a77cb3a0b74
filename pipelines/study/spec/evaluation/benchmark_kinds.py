"""The benchmarks that a study can name, as plain data: what step keys, validation and plans need to know about each.

The code that reads the items and grades the answers is in `pipelines/evaluate/registry.py`, under the same names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

HARNESS_MAX_TOKENS = 256  # lm-eval's default for tasks without a limit
OPENCOMPASS_MAX_TOKENS = 512  # OpenCompass' default
OPEN_ANSWER_MAX_TOKENS = 2048  # OpenCompass' limit for open-ended answers


@dataclass(frozen=True, slots=True)
class HubDataset:
    """A data set on the Hugging Face hub whose rows are a benchmark's items."""

    name: str
    configuration: str | None = None
    split: str = "test"


@dataclass(frozen=True, slots=True)
class Judging:
    """How a model judges the answers to a benchmark.

    Attributes:
        prompts: All prompts that the judge may receive.
        reference: Whether the study must name answers to compare with.
        labels: Whether the verdict is one of two labels, so that their probabilities can be used instead. This allows
            the key `verdict`.
        fields: Further keys of the `judge` block that are allowed.
        requests: The number of requests per answer, for estimates.
        texts: The number of texts (question, answers) in a request, for estimates.
    """

    prompts: tuple[str, ...]
    reference: Literal["none", "optional", "required"] = "none"
    labels: bool = False
    fields: frozenset[str] = frozenset()
    requests: int = 1
    texts: int = 2

    @property
    def keys(self) -> frozenset[str]:
        """Return the keys of the `judge` block that are allowed, besides those of every judged benchmark."""
        given = {"reference": self.reference != "none", "verdict": self.labels}
        return self.fields | {key for key, holds in given.items() if holds}


@dataclass(frozen=True, slots=True)
class BenchmarkKind:
    """The properties that all benchmarks of one kind share.

    Attributes:
        max_tokens: The limit of an answer.
        harness: Whether lm-eval builds the prompts and grades the answers, if the protocol is `lm-eval`.
        prompts: The prompt templates of the items without lm-eval. If empty, the items are complete prompts.
        opencompass_prompts: The prompt templates of the protocol `opencompass`; None if there is only one protocol.
        examples: The file in `prompts/examples` whose questions and answers precede an item.
        subject_split: For benchmarks with one file per subject, the suffix of the files that contain the items.
        seeded: Whether items or answers depend on the study's seed.
        runs_code: Whether answers are programs that run in the sandbox.
        splits_sentences: Whether lm-eval needs NLTK's data to split sentences.
        hub: The data set that has the items if the study names no file and lm-eval is not used.
        judging: How a model judges the answers; None if a rule grades them.
        fields: Further keys of the benchmark's block that are allowed.
    """

    max_tokens: int
    harness: bool = False
    prompts: tuple[str, ...] = ()
    opencompass_prompts: tuple[str, ...] | None = None
    examples: str | None = None
    subject_split: str | None = None
    seeded: bool = False
    runs_code: bool = False
    splits_sentences: bool = False
    hub: HubDataset | None = None
    judging: Judging | None = None
    fields: frozenset[str] = frozenset()

    @property
    def keys(self) -> frozenset[str]:
        """Return the keys of a benchmark's block that are allowed, besides those of every benchmark."""
        given = {
            "protocol": self.opencompass_prompts is not None,
            "subjects": self.subject_split is not None,
            "level": self.runs_code,
            "judge": self.judging is not None,
        }
        return self.fields | {key for key, holds in given.items() if holds}

    @property
    def judge_prompts(self) -> tuple[str, ...]:
        """Return all prompts that a judge may receive."""
        return self.judging.prompts if self.judging else ()


BENCHMARK_KINDS: dict[str, BenchmarkKind] = {
    "ifeval": BenchmarkKind(1280, harness=True, splits_sentences=True),
    "gsm8k": BenchmarkKind(
        HARNESS_MAX_TOKENS,
        harness=True,
        opencompass_prompts=("bench_gsm8k",),
        examples="gsm8k",
        hub=HubDataset("openai/gsm8k", "main"),
        fields=frozenset({"shots", "shots_file", "thousands"}),
    ),
    "math": BenchmarkKind(
        HARNESS_MAX_TOKENS,
        harness=True,
        opencompass_prompts=("bench_math",),
        examples="math",
        hub=HubDataset("HuggingFaceH4/MATH-500"),
        fields=frozenset({"shots"}),
    ),
    "humaneval": BenchmarkKind(
        1024,
        prompts=("bench_humaneval",),
        opencompass_prompts=("bench_humaneval_opencompass",),
        runs_code=True,
        hub=HubDataset("openai/openai_humaneval"),
    ),
    "mbpp": BenchmarkKind(
        512,
        prompts=("bench_mbpp",),
        opencompass_prompts=("bench_mbpp_opencompass",),
        examples="mbpp",
        runs_code=True,
        hub=HubDataset("google-research-datasets/mbpp", "full"),
        fields=frozenset({"shots"}),
    ),
    "mmlu": BenchmarkKind(
        HARNESS_MAX_TOKENS,
        harness=True,
        opencompass_prompts=("bench_mmlu",),
        subject_split="test",
        fields=frozenset({"shots"}),
    ),
    "ceval": BenchmarkKind(
        HARNESS_MAX_TOKENS,
        harness=True,
        opencompass_prompts=("bench_ceval",),
        subject_split="val",
        fields=frozenset({"shots"}),
    ),
    "followbench": BenchmarkKind(
        OPEN_ANSWER_MAX_TOKENS, judging=Judging(("judge_followbench", "judge_followbench_one"))
    ),
    "alpaca_eval": BenchmarkKind(
        OPEN_ANSWER_MAX_TOKENS,
        judging=Judging(("judge_alpaca_eval",), "required", labels=True, fields=frozenset({"length_control"}), texts=3),
    ),
    "arena_hard": BenchmarkKind(
        OPEN_ANSWER_MAX_TOKENS, judging=Judging(("judge_arena_hard",), "required", requests=2, texts=3)
    ),
    "mt_bench": BenchmarkKind(
        1024,
        seeded=True,
        judging=Judging(
            ("judge_rate", "judge_rate_turns", "judge_rate_math", "judge_rate_math_turns"),
            "optional",
            requests=2,
            texts=3,
        ),
    ),
    "compare": BenchmarkKind(
        OPEN_ANSWER_MAX_TOKENS, judging=Judging(("judge_compare",), "required", fields=frozenset({"swap"}), texts=3)
    ),
    "world": BenchmarkKind(64, seeded=True),
    "lm_eval": BenchmarkKind(HARNESS_MAX_TOKENS, harness=True, fields=frozenset({"shots"})),
}
_OTHER_KEYS = ("world", "lm_eval")  # a study selects these with a key of the same name, not with `task`


def task_names() -> list[str]:
    """Return the benchmarks that a study can name as `task`."""
    return [name for name in BENCHMARK_KINDS if name not in _OTHER_KEYS]
