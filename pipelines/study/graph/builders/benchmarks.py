"""Adds the evaluation steps: models answer benchmarks, and judges assess the answers."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import prompts
from bundled.world import WORLD_VERSION
from pipelines.study.graph.builders.step_builder import StepBuilder
from pipelines.study.graph.steps.fingerprint import describe, describe_without, hash_file
from pipelines.study.graph.steps.identities import data_identity
from pipelines.study.graph.steps.params.students import EvaluateParams, VerdictParams
from pipelines.study.graph.steps.prompt_names import describe_prompts
from pipelines.study.graph.steps.step import Part, Step, plugin_parts
from pipelines.study.inputs.models import untuned_template
from pipelines.study.inputs.system_prompts import read_system_prompt
from pipelines.study.spec.evaluation.benchmarks import Benchmark, Judge

HARNESS_PACKAGES = ("lm_eval", "math-verify", "sympy", "nltk", "langdetect")
# names and locations, and fields that are a part of the identity in another form
_NOT_IN_PAYLOAD = {"name", "file", "shots_file", "judge", "level", "max_tokens"}


class BenchmarkSteps:
    """Adds a study's evaluations to its grid."""

    def __init__(self, builder: StepBuilder) -> None:
        self.builder = builder
        self._questions: dict[Benchmark, Mapping[str, Part]] = {}
        self._complete = {bench.name: self._with_texts(bench) for bench in builder.study.benchmarks}
        self._references: dict[str, str] = {}

    def add_evaluation(
        self, model: str, train: Step | None, benchmark: str, template: str | None = None, rival: Step | None = None
    ) -> Step:
        """Return the step whose rows have the scores of a student or of the untuned model: its answers or verdicts.

        An untuned model answers in the chat template of its students, `template`; None: in its own. `rival` is the
        training of the student whose answers the judge compares with, for a benchmark with a `rival_selection`.
        """
        bench = self._complete[benchmark]
        answers = self.add_answers(model, train, bench, template)
        if bench.judge is None:
            return answers
        return self.add_verdicts(answers, bench, bench.judge, self.add_answers(model, rival, bench) if rival else None)

    def _with_texts(self, bench: Benchmark) -> Benchmark:
        """Return the benchmark with its system prompt as text, and with the study's prompts."""
        system = bench.system and read_system_prompt(self.builder.folder, bench.system)
        return bench.model_copy(update={"system": system}).with_catalog(self.builder.catalog)

    def add_answers(self, model: str, train: Step | None, bench: Benchmark, template: str | None = None) -> Step:
        """Return the step in which a model answers a benchmark."""
        thoughts = None if train else untuned_template(self.builder.study, model)
        identity = self.builder.identify(
            EvaluateParams,
            model=self.builder.models[model],
            template=thoughts,
            chat_template=template,
            **self._question_parts(bench),
        )
        model_label = train.subject if train else f"untuned {model}"
        return self.builder.add(
            identity,
            f"{bench.name} of {model_label}",
            EvaluateParams(model, bench, template),
            *([train] if train else []),
        )

    def _question_parts(self, bench: Benchmark) -> Mapping[str, Part]:
        """Return what answers depend on besides the model. Cached by benchmark, because files must be hashed."""
        found = self._questions.get(bench)
        if found is None:
            found = self._questions[bench] = self._describe_questions(bench)
        return found

    def _describe_questions(self, bench: Benchmark) -> Mapping[str, Part]:
        common: dict[str, Part] = {
            "benchmark": describe(bench.model_dump(exclude=_NOT_IN_PAYLOAD) | {"max_tokens": _max_tokens(bench)}),
            "seed": self.builder.study.seed if bench.traits.seeded else None,
            **plugin_parts(("benchmark", bench.kind)),
        }
        if bench.world:
            return common | {"world_version": WORLD_VERSION}
        asked_by, data = describe(_prompt_versions(bench)), describe(data_identity(bench, self.builder.folder))
        return common | {"data": data, "asked_by": asked_by}

    def add_verdicts(self, answers: Step, bench: Benchmark, judge: Judge, rival: Step | None) -> Step:
        """Return the step in which a judge assesses answers; those of a model or of a rival are a second input."""
        if isinstance(judge.reference, str) and judge.reference in self.builder.models:
            rival = self.add_answers(judge.reference, None, bench)
        identity = self.builder.identify(
            VerdictParams,
            task=bench.kind,
            judge=describe_without(judge, "model", "reference", "length_control"),
            reference=None if rival else self._reference_digest(judge),
            prompts=describe_prompts(bench.catalog, *bench.traits.judge_prompts),
            model=self.builder.models[judge.model],
            **plugin_parts(("benchmark", bench.kind)),
        )
        other = [rival] if rival else []
        subject = f"{bench.name} of {answers.subject.partition(' of ')[2]} by {judge.model}"  # benchmarks share answers
        return self.builder.add(identity, subject, VerdictParams(judge.model, bench), answers, *other)

    def _reference_digest(self, judge: Judge) -> str | None:
        """Return the hash of the judge's file of reference answers. Cached by file."""
        if not isinstance(judge.reference, str):
            return None
        if judge.reference not in self._references:
            self._references[judge.reference] = hash_file(self.builder.folder / judge.reference)
        return self._references[judge.reference]


def _max_tokens(bench: Benchmark) -> int | None:
    """Return the maximum tokens of an answer; None if each lm-eval task sets its own limit."""
    return bench.max_tokens if bench.harness else bench.answer_tokens


def _prompt_versions(bench: Benchmark) -> dict[str, Any]:
    """Return the versions of what builds the prompts and parses the answers."""
    if bench.harness:
        return {name: _version(name) for name in HARNESS_PACKAGES}
    shots = bench.traits.examples
    return {
        "prompts": describe_prompts(bench.catalog, *bench.prompts),
        "shots": prompts.shots(shots).digest if shots else None,
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
