"""A teacher answers one instruction (2412.11231, reference code: two prompt forms, with and without input)."""

from __future__ import annotations

from dataclasses import dataclass

import prompts
from actors.engine import Client, GenerateRequest, Sampling
from pipelines.operators import Rejected
from pipelines.rows import InstructionRow, PairedRow, ResponseRow, Row, request_seed
from pipelines.study.asked import CONSTRAINED

NOT_EVOLVED = "not_evolved"


@dataclass(frozen=True)
class Respond:
    """Answers an instruction. A truncated answer is kept and marked; an empty one is rejected.

    An instruction whose evolution was undone is rejected without being asked: it was answered where it came from.
    """

    client: Client
    sampling: Sampling
    study_seed: int

    async def __call__(self, row: Row, new_id: str) -> ResponseRow:
        assert isinstance(row, InstructionRow)
        if row.eliminated:
            raise Rejected(NOT_EVOLVED, row.outcome)
        message = ("user", asked(row))
        seed = request_seed(new_id) ^ self.study_seed
        said = await self.client.generate(GenerateRequest(new_id, (message,), self.sampling, seed))
        reply = prompts.parse("answer", said.text)
        if reply.value is None:
            raise Rejected(reply.reason, "", said.text)
        return ResponseRow(
            id=new_id,
            parent_id=row.id,
            seed_id=row.seed_id,
            index=row.index,
            instruction=row.instruction,
            input=row.input,
            response=reply.value,
            finish_reason=said.finish_reason,
            tokens_in=said.tokens_in,
            tokens_out=said.tokens_out,
        )


def asked(row: InstructionRow) -> str:
    """The prompt of a teacher: a query under AutoIF's constraint has one of its own."""
    if isinstance(row, PairedRow):
        return prompts.get(CONSTRAINED).render(instruction=row.constraint, query=row.before)
    return ask(row.instruction, row.input)


def ask(instruction: str, extra: str) -> str:
    """The prompt of an instruction, with its input if there is one."""
    if extra:
        return prompts.get("answer_with_input").render(instruction=instruction, input=extra)
    return prompts.get("answer").render(instruction=instruction)


def user_turn(instruction: str, extra: str) -> str:
    """What a student sees: the instruction and, on a line of its own, the input if there is one."""
    return f"{instruction}\n{extra}" if extra else instruction
