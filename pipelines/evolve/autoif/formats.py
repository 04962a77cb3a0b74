"""From an instruction on the format of an answer to a row with the functions that check it."""

from __future__ import annotations

import json
from dataclasses import dataclass

from pipelines.evolve.autoif.asking import told
from pipelines.evolve.autoif.back_translate import BackTranslate, BackTranslated
from pipelines.evolve.autoif.material import Case
from pipelines.evolve.autoif.verify import Verified, Verify
from pipelines.operators import Rejected
from pipelines.rows import FormatRow, Row, VerifiedRow


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
