"""Evol-Instruct: rewrites one instruction once (WizardLM, 2304.12244; 2412.11231, App. A.1)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import prompts
from actors.engine import Client, GenerateRequest, Generation, Sampling
from pipelines.operators.respond.answer import answer_prompt
from pipelines.rows.ids import request_seed, row_id
from pipelines.rows.operator import Operator, Rejected
from pipelines.rows.replies import ask, raw_reply, read_reply
from pipelines.rows.text import Message, context, user_turn, with_system
from pipelines.rows.types import ELIMINATED, KEPT, RETRIED, InstructionRow
from pipelines.study.graph.steps.methods import prompt_name
from pipelines.study.graph.steps.params.instructions import EvolveParams
from pipelines.study.spec.instructions.evolution import LengthBound
from prompts import STANDARD_CATALOG, Catalog
from prompts.flags import flags


@dataclass(frozen=True)
class Evolve(Operator[InstructionRow, InstructionRow]):
    """Rewrites the instruction of a row with the evolver, or with `turn: first` the first turn of its conversation.

    The evolver sees only the text that it rewrites; the system text and all other turns are copied. By default, so is
    the `input` (as in 2412.11231). With `input: merge`, the evolver sees instruction and input as one text and returns
    an instruction without input (WizardLM's code).

    A reply fails if it is truncated or empty, a refusal or an answer, repeats the prompt's frame, returns the
    instruction unchanged, or is longer than the growth bound allows. The evolver is then asked again, with another
    sampling seed, up to `retries` times. A row without a good reply is rejected. With `on_failure: keep`, it keeps the
    instruction from before; and so it does in a study with elimination, which has the evolver answer each of the other
    evolved instructions. `optimized` is the method that Auto Evol-Instruct found; it replaces the named methods.
    """

    client: Client
    params: EvolveParams
    sampling: Sampling
    study_seed: int
    optimized: str = ""
    catalog: Catalog = STANDARD_CATALOG

    async def __call__(self, row: InstructionRow, new_id: str) -> InstructionRow:
        row = row if row.turn == self.params.turn else replace(row, turn=self.params.turn)
        row = instruction_with_input(row) if self.params.input == "merge" else row
        method = self.params.method(row.index, row.seed_id, self.study_seed)
        prompt, parser = self.build_prompt(method, row.evolved)
        messages = with_system((("user", prompt),), self.params.system)
        said, reply, failures = await self.rewrite(row.evolved, messages, parser, new_id)
        changes: dict[str, Any] = {
            **row.lineage(new_id),
            "round": self.params.round,
            "method": method,
            "raw": said.text if reply else raw_reply(said),
            "thoughts": said.thoughts,
            "tokens_in": said.tokens_in,
            "tokens_out": said.tokens_out,
            "before": row.evolved,
            "answer": "",
            "probabilities": [math.exp(value) for value in (said.logprobs or ())[: self.params.probabilities]],
            "attempts": len(failures) + (reply is not None),
        }
        if reply is None:
            return self.unevolved_row(replace(row, **changes), failures)
        outcome = outcome_after(failures, reply.outcome)
        evolved = row.with_evolved(reply.value or "", reference="", outcome=outcome, **changes)
        return replace(evolved, answer=await self.answer_evolution(evolved)) if self.params.eliminates else evolved

    async def rewrite(
        self, before: str, messages: tuple[Message, ...], parser: str, new_id: str
    ) -> tuple[Generation, prompts.Reply | None, list[Rejected]]:
        """Return the last reply, with the tokens of all, what it was read as, and the failures of the others."""
        tries, failures, reply = list[Generation](), list[Rejected](), None
        while reply is None and len(tries) <= self.params.retries:
            request_id = row_id(new_id, "retry", len(tries)) if tries else new_id
            tries.append(await self.ask_evolver(request_id, messages, logprobs=self.params.probabilities > 0))
            try:
                reply = read_evolution(tries[-1], parser, before, self.params.growth)
            except Rejected as why:
                failures.append(why)
        if len(tries) == 1:
            return tries[0], reply, failures
        tokens_in, tokens_out = sum(said.tokens_in for said in tries), sum(said.tokens_out for said in tries)
        return replace(tries[-1], tokens_in=tokens_in, tokens_out=tokens_out), reply, failures

    def unevolved_row(self, row: InstructionRow, failures: Sequence[Rejected]) -> InstructionRow:
        """Return the row, marked as not evolved, if the study keeps such rows.

        Raises:
            Rejected: It does not. The error is that of the last attempt.
        """
        last = failures[-1]
        if self.params.eliminates:
            return replace(row, reference="", outcome=ELIMINATED + last.reason)
        if self.params.on_failure == "keep":
            return replace(row, outcome=KEPT + last.reason)
        if len(failures) == 1:
            raise last
        detail = "; ".join([*([last.detail] if last.detail else []), f"the last of {len(failures)} attempts"])
        raise Rejected(last.reason, detail, last.raw)

    def build_prompt(self, method: str, instruction: str) -> tuple[str, str]:
        """Return the evolver's prompt and the name of the parser for its reply."""
        if self.optimized:
            return prompts.fill(self.optimized, instruction), self.params.parser
        template = self.catalog.get(prompt_name(method))
        return template.render(instruction=instruction), template.parser

    async def answer_evolution(self, row: InstructionRow) -> str:
        """Return the evolver's answer to its own evolution."""
        said = await self.ask_evolver(row.id, evolved_turn_messages(row, self.catalog))
        return said.text

    async def ask_evolver(self, request_id: str, messages: tuple[Message, ...], logprobs: bool = False) -> Generation:
        """Send messages to the evolver, with a sampling seed derived from the request's id and the study's seed."""
        seed = request_seed(request_id) ^ self.study_seed
        return await ask(self.client, GenerateRequest(request_id, messages, self.sampling, seed, logprobs))


def outcome_after(failures: Sequence[Rejected], outcome: str) -> str:
    """Return the outcome of a row whose first attempts failed: their reasons are in front ("retried:truncated")."""
    if not failures:
        return outcome
    retried = RETRIED + "+".join(dict.fromkeys(why.reason for why in failures))
    return retried if outcome == "accepted" else f"{retried} {outcome}"


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


def evolved_turn_messages(row: InstructionRow, catalog: Catalog) -> tuple[Message, ...]:
    """Return the conversation that ends with the evolved turn: the request for a reply to it."""
    if row.evolves_history:
        return (*context(replace(row, history=[])), ("user", answer_prompt(row.evolved, "", catalog)))
    return (*context(row), ("user", answer_prompt(row.instruction, row.input, catalog)))
