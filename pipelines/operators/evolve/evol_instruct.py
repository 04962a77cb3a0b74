"""Evol-Instruct: rewrites one instruction once (WizardLM, 2304.12244; 2412.11231, App. A.1)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import prompts
from actors.engine import Client, GenerateRequest, Generation, Sampling
from pipelines.operators.respond.answer import answer_prompt
from pipelines.rows.ids import request_seed
from pipelines.rows.operator import Operator, Rejected
from pipelines.rows.replies import ask, raw_reply, read_reply
from pipelines.rows.text import Message, context, user_turn
from pipelines.rows.types import ELIMINATED, InstructionRow
from pipelines.study.graph.methods import prompt_name
from pipelines.study.graph.params import EvolveParams
from pipelines.study.spec.evolution import LengthBound
from prompts.flags import flags


@dataclass(frozen=True)
class Evolve(Operator[InstructionRow, InstructionRow]):
    """Rewrites the instruction of a row with the evolver, or with `turn: first` the first turn of its conversation.

    The evolver sees only the text that it rewrites; the system text and all other turns are copied. By default, so is
    the `input` (as in 2412.11231). With `input: merge`, the evolver sees instruction and input as one text and returns
    an instruction without input (WizardLM's code).

    A reply is rejected if it is truncated or empty, repeats the prompt's frame, returns the instruction unchanged, or
    is longer than the growth bound allows. In a study with elimination, such a row is not rejected: it is passed on
    with the instruction from before, and the evolver answers each of the other evolved instructions.
    `optimized` is the method that Auto Evol-Instruct found; it replaces the named methods.
    """

    client: Client
    params: EvolveParams
    sampling: Sampling
    study_seed: int
    optimized: str = ""

    async def __call__(self, row: InstructionRow, new_id: str) -> InstructionRow:
        row = replace(row, turn=self.params.turn)
        row = instruction_with_input(row) if self.params.input == "merge" else row
        method = self.params.method(row.index, row.seed_id, self.study_seed)
        prompt, parser = self.build_prompt(method, row.evolved)
        said = await self.ask_evolver(new_id, (("user", prompt),), logprobs=self.params.probabilities > 0)
        evolved = replace(
            row,
            **row.lineage(new_id),
            round=self.params.round,
            method=method,
            reference="",
            raw=said.text,
            thoughts=said.thoughts,
            tokens_in=said.tokens_in,
            tokens_out=said.tokens_out,
            before=row.evolved,
            answer="",
            probabilities=[math.exp(value) for value in (said.logprobs or ())[: self.params.probabilities]],
        )
        try:
            reply = read_evolution(said, parser, row.evolved, self.params.growth)
        except Rejected as why:
            if not self.params.eliminates:
                raise
            return replace(evolved, outcome=ELIMINATED + why.reason)
        evolved = replace(evolved.with_evolved(reply.value or ""), outcome=reply.outcome)
        return replace(evolved, answer=await self.answer_evolution(evolved)) if self.params.eliminates else evolved

    def build_prompt(self, method: str, instruction: str) -> tuple[str, str]:
        """Return the evolver's prompt and the name of the parser for its reply."""
        if self.optimized:
            return prompts.fill(self.optimized, instruction), self.params.parser
        template = prompts.get(prompt_name(method))
        return template.render(instruction=instruction), template.parser

    async def answer_evolution(self, row: InstructionRow) -> str:
        """Return the evolver's answer to its own evolution."""
        said = await self.ask_evolver(row.id, evolved_turn_messages(row))
        return said.text

    async def ask_evolver(self, request_id: str, messages: tuple[Message, ...], logprobs: bool = False) -> Generation:
        """Send messages to the evolver, with a sampling seed derived from the request's id and the study's seed."""
        seed = request_seed(request_id) ^ self.study_seed
        return await ask(self.client, GenerateRequest(request_id, messages, self.sampling, seed, logprobs))


def read_evolution(said: Generation, parser: str, before: str, growth: LengthBound | None) -> prompts.Reply:
    """Return the evolved instruction in a reply.

    Raises:
        Rejected: The reply has no acceptable evolution; the error has the reason.
    """
    if said.finish_reason == "length":
        raise Rejected("truncated", f"{said.tokens_out} tokens without an end", raw_reply(said))
    reply = read_reply(parser, said)
    if reply.value is None:
        raise Rejected(reply.reason, "", raw_reply(said))
    if reply.value == before:
        raise Rejected("unchanged", "", said.text)
    if growth is not None and grew_too_much(before, reply.value, growth):
        raise Rejected("grew_too_much", f"{_words(before)} words to {_words(reply.value)}", said.text)
    return flagged(reply, before)


def flagged(reply: prompts.Reply, before: str) -> prompts.Reply:
    """Return the reply with the signs in its outcome that it may not be what was asked for ("flagged:language")."""
    found = flags(before, reply.value or "")
    if not found:
        return reply
    outcome = "flagged:" + "+".join(found)
    return replace(reply, outcome=outcome if reply.outcome == "accepted" else f"{outcome} {reply.outcome}")


def grew_too_much(before: str, after: str, bound: LengthBound) -> bool:
    """Return whether an instruction became longer than a bound allows."""
    old, new = _words(before), _words(after)
    too_many = bound.words is not None and new - old > bound.words
    return too_many or (bound.ratio is not None and new > bound.ratio * old)


def _words(text: str) -> int:
    return len(text.split())


def instruction_with_input(row: InstructionRow) -> InstructionRow:
    """Return the row with its input appended to its instruction after a newline, and an empty input.

    A row whose first turn is evolved keeps its input, which belongs to its last turn.
    """
    if row.evolves_history:
        return row
    return replace(row, instruction=user_turn(row.instruction, row.input), input="")


def evolved_turn_messages(row: InstructionRow) -> tuple[Message, ...]:
    """Return the conversation that ends with the evolved turn: the request for a reply to it."""
    if row.evolves_history:
        return (*context(replace(row, history=[])), ("user", answer_prompt(row.evolved, "")))
    return (*context(row), ("user", answer_prompt(row.instruction, row.input)))
