"""The steps in which models answer benchmarks, and judges read the answers."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import prompts
from bundled.world import WORLD_VERSION
from pipelines.study.graph.fingerprint import hash_file
from pipelines.study.graph.identities import data_identity
from pipelines.study.graph.params import EvaluateJob, VerdictJob
from pipelines.study.graph.prompt_names import ANSWER_JUDGING, digests
from pipelines.study.graph.step import Add, Identify, Step
from pipelines.study.spec.benchmarks import SUBJECTS, Benchmark, Judge
from pipelines.study.spec.study import Study

HARNESS = ("lm_eval", "math-verify", "sympy", "nltk", "langdetect")
SAMPLED = frozenset({"world", "mt_bench"})  # whose items or answers depend on a seed
# what names and places a benchmark, or is a part of the identity in another form
_ELSEWHERE = {"name", "file", "shots_file", "judge", "level", "max_tokens"}


class BenchmarkSteps:
    """Adds a study's evaluations to its grid. `models` are models' identities by name, `folder` is the study file's."""

    def __init__(self, study: Study, folder: Path, models: Mapping[str, Any], identify: Identify, add: Add) -> None:
        self.study, self.folder, self.models = study, folder, models
        self.identify, self.add = identify, add

    def of(self, model: str, train: Step | None, bench: Benchmark) -> Step:
        """The step whose rows have the scores of a student, or of the untuned model: its answers, or their verdicts."""
        answers = self.answers(model, train, bench)
        return self.verdicts(answers, bench, bench.judge) if bench.judge else answers

    def answers(self, model: str, train: Step | None, bench: Benchmark) -> Step:
        """The step in which a model answers a benchmark."""
        identity = self.identify("evaluate", model, bench.name, payload=lambda: self._asked(model, bench))
        who = train.subject if train else f"untuned {model}"
        return self.add(identity, f"{bench.name} of {who}", EvaluateJob(model, bench), *([train] if train else []))

    def _asked(self, model: str, bench: Benchmark) -> dict[str, Any]:
        common = {
            "benchmark": bench.model_dump(exclude=_ELSEWHERE) | {"max_tokens": _bound(bench)},
            "model": self.models[model],
            "seed": self.study.seed if bench.kind in SAMPLED else None,
        }
        if bench.world:
            return common | {"world_version": WORLD_VERSION}
        return common | {"data": data_identity(bench, self.folder), "asked_by": _asker(bench)}

    def verdicts(self, answers: Step, bench: Benchmark, judge: Judge) -> Step:
        """The step in which a judge reads answers, beside those of the reference model if a model is the reference."""
        by_model = judge.reference in self.models
        identity = self.identify("verdict", bench.name, payload=lambda: self._judged(bench, judge, by_model))
        other = [self.answers(judge.reference or "", None, bench)] if by_model else []
        subject = f"{answers.subject} by {judge.model}"
        return self.add(identity, subject, VerdictJob(judge.model, bench), answers, *other)

    def _judged(self, bench: Benchmark, judge: Judge, by_model: bool) -> dict[str, Any]:
        reference = judge.reference if judge.reference and not by_model else None
        return {
            "task": bench.kind,
            "judge": judge.model_dump(exclude={"model", "reference", "length_control"}),
            "reference": hash_file(self.folder / reference) if reference else None,
            "prompts": digests(ANSWER_JUDGING[bench.kind]),
            "model": self.models[judge.model],
        }


def _bound(bench: Benchmark) -> int | None:
    """The bound of answers; None where each task of lm-eval has its own."""
    return bench.max_tokens if bench.harness else bench.answer_tokens


def _asker(bench: Benchmark) -> dict[str, Any]:
    """Who makes the prompts and reads the answers, in which version."""
    if bench.harness:
        return {name: _version(name) for name in HARNESS}
    names = own_prompts(bench)
    shots = bench.kind if bench.kind in ("gsm8k", "math", "mbpp") else None
    return {"prompts": digests(names), "shots": prompts.shots(shots).digest if shots else None}


def own_prompts(bench: Benchmark) -> tuple[str, ...]:
    """The prompts that a benchmark is asked by; none where its items are the whole prompt."""
    if bench.kind in ("humaneval", "mbpp"):
        return (f"bench_{bench.kind}" + ("_opencompass" if bench.protocol == "opencompass" else ""),)
    return (f"bench_{bench.kind}",) if bench.kind in {"gsm8k", "math"} | SUBJECTS else ()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
