"""Sends an optimization's requests to its two models and counts them."""

from __future__ import annotations

from collections import Counter

import prompts
from actors.engine import Client, GenerateRequest, Generation, Sampling
from pipelines.operators.evolve.evol_instruct import evolved_turn_messages
from pipelines.rows.ids import request_seed
from pipelines.rows.operator import Rejected
from pipelines.rows.replies import ask, raw_reply, read_reply
from pipelines.rows.text import Message, with_system
from pipelines.rows.types import InstructionRow
from pipelines.study.graph.steps.methods import reply_parser
from pipelines.study.graph.steps.params.instructions import OptimizeParams
from prompts import STANDARD_CATALOG, Catalog


class OptimizationClient:
    """Client of the evolver (greedy decoding) and of the optimizer (with the sampling that the study sets for it).

    `request_counts` has the number of requests by purpose.
    """

    def __init__(
        self, evolver: Client, optimizer: Client, params: OptimizeParams, catalog: Catalog = STANDARD_CATALOG
    ) -> None:
        self.catalog = catalog
        self.evolver, self.optimizer, self.params = evolver, optimizer, params
        self.parser = reply_parser(params.optimization.variant)
        self.evolver_sampling, self.optimizer_sampling = (
            Sampling(max_tokens=params.max_tokens),
            params.optimization.sampling.sampling,
        )
        self.request_counts: Counter[str] = Counter()

    async def evolve(self, method: str, instruction: str, request: str, purpose: str) -> str | None:
        """Evolve an instruction with a method; return None if the reply is truncated or has no instruction."""
        self.request_counts[purpose] += 1
        said = await self.ask_evolver(
            request, with_system((("user", prompts.fill(method, instruction)),), self.params.system)
        )
        return None if said.finish_reason == "length" else read_reply(self.parser, said).value

    async def answer(self, row: InstructionRow, request: str) -> str:
        """Return the evolver's answer to a row's evolved turn, in its conversation."""
        self.request_counts["answer"] += 1
        return (await self.ask_evolver(request, evolved_turn_messages(row, self.catalog))).text

    async def ask_evolver(self, request: str, messages: tuple[Message, ...]) -> Generation:
        """Return one greedy reply of the evolver."""
        return await ask(self.evolver, GenerateRequest(request, messages, self.evolver_sampling))

    async def ask_optimizer(
        self, draft: str, name: str, before: tuple[Message, ...] = (), **values: str
    ) -> tuple[str, prompts.Reply]:
        """Return one reply of the optimizer for a draft, as raw text and parsed. `before` are turns before the prompt.

        Raises:
            Rejected: The reply is truncated or cannot be parsed.
        """
        self.request_counts[name] += 1
        prompt = self.catalog.get(name)
        request, seed = f"{draft}-{name}", request_seed(draft) ^ self.params.seed
        message = ("user", prompt.render(**values))
        said = await ask(self.optimizer, GenerateRequest(request, (*before, message), self.optimizer_sampling, seed))
        reply = read_reply(prompt.parser, said)
        if said.finish_reason == "length" or reply.value is None:
            raise Rejected("truncated" if said.finish_reason == "length" else reply.reason, name, raw_reply(said))
        return said.text, reply

    def published_count(self) -> int:
        """Return the number of requests as the paper counts them: the m samples of a step are one call."""
        m = self.params.optimization.candidates
        draws = self.request_counts["auto_evol_analyze"] + self.request_counts["auto_evol_optimize"]
        return self.request_counts.total() - draws + draws // m
