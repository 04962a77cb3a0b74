"""AutoIF, steps 2 to 4: from an instruction on the format of an answer to a row with the functions that check it."""

from __future__ import annotations

import json
from dataclasses import dataclass

import prompts
from pipelines.operators.autoif.back_translation import BackTranslate, BackTranslated
from pipelines.operators.autoif.cross_validation import Survivors, survivors, truth_of
from pipelines.operators.autoif.function_runs import Runner
from pipelines.operators.autoif.sampling import Asker, Draw, told
from pipelines.operators.autoif.test_generation import GENERATIONS, Case, Material, read_material
from pipelines.operators.autoif.thresholds import PAPER, Rules
from pipelines.rows.operator import Rejected
from pipelines.rows.types import FormatRow, Row, VerifiedRow
from pipelines.study.graph.prompt_names import AUTOIF_MATERIAL


@dataclass(frozen=True)
class VerifyFormat:
    """Steps 2 to 4 of 2406.13542 for one instruction; without `translate`, 2 and 3. Rejected as these are."""

    verify: Verify
    translate: BackTranslate | None

    async def __call__(self, row: Row, new_id: str) -> VerifiedRow:
        assert isinstance(row, FormatRow)
        verified = await self.verify(row.instruction, new_id)
        said = None
        if self.translate:
            try:
                said = await self.translate(row.instruction, verified.survivors.functions, new_id)
            except Rejected as error:
                replies = json.loads(told(verified.draws)) + json.loads(error.raw)
                raise Rejected(error.reason, error.detail, json.dumps(replies, ensure_ascii=False)) from None
        return _row(row, new_id, verified, said)


def _row(row: FormatRow, new_id: str, verified: Verified, said: BackTranslated | None) -> VerifiedRow:
    kept, relations = verified.survivors, said.relations if said else ()
    return VerifiedRow(
        id=new_id,
        parent_id=row.id,
        seed_id=row.seed_id,
        index=row.index,
        instruction=row.instruction,
        functions=[function.source for function in kept.functions],
        accuracies=[function.accuracy for function in kept.functions],
        cases=[case_json(case) for case in kept.cases],
        raw=[draw.raw for draw in verified.draws],
        outcomes=[draw.outcome for draw in (*verified.draws, *([said.draw] if said else []))],
        translations=[text for text, _ in relations],
        relations=[relation for _, relation in relations],
        translation_raw=said.draw.raw if said else "",
    )


def case_json(case: Case) -> str:
    """A case as JSON: its response and its label."""
    return json.dumps([case.response, case.label], ensure_ascii=False)


@dataclass(frozen=True)
class Verified:
    """An instruction with functions that can check whether a response follows it, and all that the model said."""

    instruction: str
    survivors: Survivors
    draws: tuple[Draw[Material], ...]


@dataclass(frozen=True)
class Verify:
    """Asks for `generations` functions with their cases and cross-validates them (2406.13542: 8).

    Rejected: as `survivors`. SandboxError if the sandbox itself failed.
    """

    ask: Asker
    runner: Runner
    rules: Rules = PAPER
    generations: int = GENERATIONS

    async def __call__(self, instruction: str, identity: str) -> Verified:
        prompt = prompts.get(AUTOIF_MATERIAL).render(instruction=instruction)
        draws = await self.ask(prompt, read_material, identity, AUTOIF_MATERIAL, self.generations)
        truth = await truth_of(self.runner, identity, [draw.value for draw in draws if draw.value])
        try:
            return Verified(instruction, survivors(truth, self.rules), draws)
        except Rejected as error:
            raise Rejected(error.reason, error.detail, told(draws)) from None
