"""AutoIF, steps 2 to 4: creates the row of an instruction with its verification functions."""

from __future__ import annotations

import json
from dataclasses import dataclass

from pipelines.operators.autoif.back_translation import BackTranslate, BackTranslation
from pipelines.operators.autoif.cross_validation import Accepted, apply_thresholds, cross_validate
from pipelines.operators.autoif.function_runs import Runner
from pipelines.operators.autoif.sampling import RepeatedSampler, Sample, samples_json
from pipelines.operators.autoif.test_generation import (
    DEFAULT_GENERATIONS,
    GeneratedTests,
    VerificationCase,
    read_generated_tests,
)
from pipelines.operators.autoif.thresholds import PAPER_THRESHOLDS, Thresholds
from pipelines.rows.operator import Operator, Rejected
from pipelines.rows.types import FormatRow, VerifiedRow
from pipelines.study.graph.steps.prompt_names import AUTOIF_MATERIAL
from prompts import STANDARD_CATALOG, Catalog


@dataclass(frozen=True)
class VerifyFormat(Operator[FormatRow, VerifiedRow]):
    """Steps 2 to 4 of 2406.13542 for one instruction; only 2 and 3 without `back_translate`.

    Rejected: for the reasons of `Verify` and `BackTranslate`.
    """

    verify: Verify
    back_translate: BackTranslate | None

    async def __call__(self, row: FormatRow, new_id: str) -> VerifiedRow:
        verified = await self.verify(row.instruction, new_id)
        said = None
        if self.back_translate:
            try:
                said = await self.back_translate(row.instruction, verified.accepted.functions, new_id)
            except Rejected as error:
                replies = json.loads(samples_json(verified.samples)) + json.loads(error.raw)
                raise Rejected(error.reason, error.detail, json.dumps(replies, ensure_ascii=False)) from None
        return _verified_row(row, new_id, verified, said)


def _verified_row(
    row: FormatRow, new_id: str, verified: VerifiedInstruction, said: BackTranslation | None
) -> VerifiedRow:
    kept, relations = verified.accepted, said.relations if said else ()
    return VerifiedRow(
        **row.lineage(new_id),
        instruction=row.instruction,
        functions=[function.source for function in kept.functions],
        accuracies=[function.accuracy for function in kept.functions],
        cases=[case_json(case) for case in kept.cases],
        raw=[draw.raw for draw in verified.samples],
        outcomes=[draw.outcome for draw in (*verified.samples, *([said.sample] if said else []))],
        translations=[text for text, _ in relations],
        relations=[relation for _, relation in relations],
        translation_raw=said.sample.raw if said else "",
    )


def case_json(case: VerificationCase) -> str:
    """Return a case as JSON: its response and its label."""
    return json.dumps([case.response, case.label], ensure_ascii=False)


@dataclass(frozen=True)
class VerifiedInstruction:
    """An instruction with its verification functions and all of the model's replies."""

    instruction: str
    accepted: Accepted
    samples: tuple[Sample[GeneratedTests], ...]


@dataclass(frozen=True)
class Verify:
    """Asks a model for `generations` functions with cases (2406.13542: 8) and cross-validates them.

    Rejected: for the reasons of `apply_thresholds`. Raises SandboxError if the sandbox itself failed.
    """

    sampler: RepeatedSampler
    runner: Runner
    thresholds: Thresholds = PAPER_THRESHOLDS
    generations: int = DEFAULT_GENERATIONS
    catalog: Catalog = STANDARD_CATALOG

    async def __call__(self, instruction: str, identity: str) -> VerifiedInstruction:
        prompt = self.catalog.get(AUTOIF_MATERIAL).render(instruction=instruction)
        draws = await self.sampler(prompt, read_generated_tests, identity, AUTOIF_MATERIAL, self.generations)
        validation = await cross_validate(self.runner, identity, [draw.value for draw in draws if draw.value])
        try:
            return VerifiedInstruction(instruction, apply_thresholds(validation, self.thresholds), draws)
        except Rejected as error:
            raise Rejected(error.reason, error.detail, samples_json(draws)) from None
