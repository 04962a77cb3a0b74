"""Evol-Instruct: one rewrite of one instruction (WizardLM; 2412.11231, App. A.1)."""

from __future__ import annotations

from dataclasses import dataclass

import prompts
from actors.engine import Client, GenerateRequest, Sampling
from pipelines.evolve.methods import method_for, prompt_name
from pipelines.operators import Rejected
from pipelines.rows import InstructionRow, Row, request_seed


@dataclass(frozen=True)
class Evolve:
    """Rewrites the instruction; `input` is copied unchanged and the evolver does not see it (as in 2412.11231).

    Rejected: a reply that was cut off, is empty, quotes its frame, or gives the instruction back unchanged.
    """

    client: Client
    round: int
    methods: tuple[str, ...]
    sampling: Sampling
    study_seed: int

    async def __call__(self, row: Row, new_id: str) -> InstructionRow:
        assert isinstance(row, InstructionRow)
        method = method_for(self.methods, row.index, self.round)
        prompt = prompts.get(prompt_name(method))
        message = ("user", prompt.render(instruction=row.instruction))
        seed = request_seed(new_id) ^ self.study_seed
        said = await self.client.generate(GenerateRequest(new_id, (message,), self.sampling, seed))
        if said.finish_reason == "length":
            raise Rejected("truncated", f"{said.tokens_out} tokens without an end", said.text)
        reply = prompts.parse(prompt.parser, said.text)
        if reply.value is None:
            raise Rejected(reply.outcome.removeprefix("rejected:"), method, said.text)
        if reply.value == row.instruction:
            raise Rejected("unchanged", method, said.text)
        return InstructionRow(
            id=new_id,
            parent_id=row.id,
            seed_id=row.seed_id,
            index=row.index,
            round=self.round,
            method=method,
            instruction=reply.value,
            input=row.input,
            reference="",
            raw=said.text,
            outcome=reply.outcome,
            tokens_in=said.tokens_in,
            tokens_out=said.tokens_out,
        )
