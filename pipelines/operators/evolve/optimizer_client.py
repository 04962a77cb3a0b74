"""What an optimization asks of its two models, counted."""

from __future__ import annotations

from collections import Counter

import prompts
from actors.engine import Client, GenerateRequest, Generation, Sampling
from pipelines.operators.respond.answer import ask
from pipelines.rows.ids import request_seed
from pipelines.rows.operator import Rejected
from pipelines.study.graph.methods import reply_parser
from pipelines.study.graph.params import OptimizeJob


class Calls:
    """The evolver is asked greedily, the optimizer with its own sampling. `counted` counts requests by purpose."""

    def __init__(self, evolver: Client, optimizer: Client, job: OptimizeJob) -> None:
        self.evolver, self.optimizer, self.job = evolver, optimizer, job
        self.parser = reply_parser(job.optimization.variant)
        self.greedy, self.drawn = Sampling(max_tokens=job.max_tokens), job.optimization.sampling.sampling
        self.counted: Counter[str] = Counter()

    async def evolve(self, method: str, instruction: str, request: str, purpose: str) -> str | None:
        """What a method makes of an instruction; None if the reply was cut off or holds none."""
        self.counted[purpose] += 1
        said = await self.ask_evolver(request, prompts.fill(method, instruction))
        return None if said.finish_reason == "length" else prompts.parse(self.parser, said.text).value

    async def answer(self, instruction: str, extra: str, request: str) -> str:
        """The evolver's answer to an evolved instruction."""
        self.counted["answer"] += 1
        return (await self.ask_evolver(request, ask(instruction, extra))).text

    async def ask_evolver(self, request: str, prompt: str) -> Generation:
        """One greedy reply of the evolver."""
        return await self.evolver.generate(GenerateRequest(request, (("user", prompt),), self.greedy))

    async def ask_optimizer(self, draft: str, name: str, **values: str) -> tuple[str, prompts.Reply]:
        """One reply of the optimizer on behalf of a draft, raw and read. Raises Rejected where nothing can be read."""
        self.counted[name] += 1
        prompt = prompts.get(name)
        request, seed = f"{draft}-{name}", request_seed(draft) ^ self.job.seed
        message = ("user", prompt.render(**values))
        said = await self.optimizer.generate(GenerateRequest(request, (message,), self.drawn, seed))
        reply = prompts.parse(prompt.parser, said.text)
        if said.finish_reason == "length" or reply.value is None:
            raise Rejected("truncated" if said.finish_reason == "length" else reply.reason, name, said.text)
        return said.text, reply

    def published(self) -> int:
        """All requests, with the m draws of a step as one call each, as the paper counts them."""
        m = self.job.optimization.candidates
        draws = self.counted["auto_evol_analyze"] + self.counted["auto_evol_optimize"]
        return self.counted.total() - draws + draws // m
