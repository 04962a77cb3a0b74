"""The steps in which models answer benchmarks, and judges read the answers."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import prompts
from bundled.world import WORLD_VERSION
from pipelines.study.graph.fingerprint import Description, describe, describe_without, hash_file
from pipelines.study.graph.identities import data_identity
from pipelines.study.graph.params import EvaluateParams, VerdictParams
from pipelines.study.graph.prompt_names import describe_prompts
from pipelines.study.graph.step import AddStep, Identities, Part, Step
from pipelines.study.spec.benchmarks import Benchmark, Judge
from pipelines.study.spec.study import Study

HARNESS_PACKAGES = ("lm_eval", "math-verify", "sympy", "nltk", "langdetect")
# what names and places a benchmark, or is a part of the identity in another form
_NOT_IN_PAYLOAD = {"name", "file", "shots_file", "judge", "level", "max_tokens"}


class BenchmarkSteps:
    """Adds a study's evaluations to its grid. `models` are models' identities by name, `folder` is the study file's."""

    def __init__(
        self, study: Study, folder: Path, models: Mapping[str, Description], identify: Identities, add: AddStep
    ) -> None:
        self.study, self.folder, self.models = study, folder, models
        self.identify, self.add = identify, add
        self._questions: dict[Benchmark, Mapping[str, Part]] = {}
        self._references: dict[str, str] = {}

    def add_evaluation(self, model: str, train: Step | None, bench: Benchmark) -> Step:
        """The step whose rows have the scores of a student, or of the untuned model: its answers, or their verdicts."""
        answers = self.add_answers(model, train, bench)
        return self.add_verdicts(answers, bench, bench.judge) if bench.judge else answers

    def add_answers(self, model: str, train: Step | None, bench: Benchmark) -> Step:
        """The step in which a model answers a benchmark."""
        identity = self.identify(EvaluateParams, model=self.models[model], **self._question_parts(bench))
        model_label = train.subject if train else f"untuned {model}"
        return self.add(
            identity, f"{bench.name} of {model_label}", EvaluateParams(model, bench), *([train] if train else [])
        )

    def _question_parts(self, bench: Benchmark) -> Mapping[str, Part]:
        """What answers depend on beside the model, worked out once for each benchmark: files are hashed for it."""
        found = self._questions.get(bench)
        if found is None:
            found = self._questions[bench] = self._describe_questions(bench)
        return found

    def _describe_questions(self, bench: Benchmark) -> Mapping[str, Part]:
        common: dict[str, Part] = {
            "benchmark": describe(bench.model_dump(exclude=_NOT_IN_PAYLOAD) | {"max_tokens": _max_tokens(bench)}),
            "seed": self.study.seed if bench.traits.seeded else None,
        }
        if bench.world:
            return common | {"world_version": WORLD_VERSION}
        asked_by, data = describe(_prompt_versions(bench)), describe(data_identity(bench, self.folder))
        return common | {"data": data, "asked_by": asked_by}

    def add_verdicts(self, answers: Step, bench: Benchmark, judge: Judge) -> Step:
        """The step in which a judge reads answers, beside those of the reference model if a model is the reference."""
        by_model = judge.reference in self.models
        identity = self.identify(
            VerdictParams,
            task=bench.kind,
            judge=describe_without(judge, "model", "reference", "length_control"),
            reference=None if by_model else self._reference_digest(judge),
            prompts=describe_prompts(*bench.traits.judge_prompts),
            model=self.models[judge.model],
        )
        other = [self.add_answers(judge.reference or "", None, bench)] if by_model else []
        subject = f"{answers.subject} by {judge.model}"
        return self.add(identity, subject, VerdictParams(judge.model, bench), answers, *other)

    def _reference_digest(self, judge: Judge) -> str | None:
        """The hash of the file of answers that a judge compares with, read once."""
        if judge.reference and judge.reference not in self._references:
            self._references[judge.reference] = hash_file(self.folder / judge.reference)
        return self._references.get(judge.reference or "")


def _max_tokens(bench: Benchmark) -> int | None:
    """The bound of answers; None where each task of lm-eval has its own."""
    return bench.max_tokens if bench.harness else bench.answer_tokens


def _prompt_versions(bench: Benchmark) -> dict[str, Any]:
    """Who makes the prompts and reads the answers, in which version."""
    if bench.harness:
        return {name: _version(name) for name in HARNESS_PACKAGES}
    shots = bench.traits.examples
    return {"prompts": describe_prompts(*bench.prompts), "shots": prompts.shots(shots).digest if shots else None}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
