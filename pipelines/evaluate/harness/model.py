"""A pool's model behind lm-eval's model interface. All requests of a batch are sent concurrently, as chat requests."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Coroutine, Sequence
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import LM

from actors.engine import Client, GenerateRequest, LogprobRequest, RequestError, Sampling
from pipelines.errors import InputError
from pipelines.evaluate.items.item import Turns
from pipelines.rows.ids import request_seed, row_id
from pipelines.rows.replies import ask
from pipelines.rows.text import with_system
from pipelines.study.spec.evaluation.benchmark_kinds import HARNESS_MAX_TOKENS


class PoolModel(LM):
    """Answers lm-eval's requests through a client.

    lm-eval's prompts are strings, so conversations pass through it as JSON. `max_tokens` overrides a task's limit, and
    `system` is put before every conversation.
    `step_key` determines the ids of requests and the seeds of sampled answers. `errors` has the requests that failed,
    and `finish_reasons` the finish reasons of generations, both by task name and document number.
    """

    def __init__(self, client: Client, step_key: str, max_tokens: int | None = None, system: str = "") -> None:
        super().__init__()
        self.client, self.step_key, self.max_tokens, self.system = client, step_key, max_tokens, system
        self.errors: dict[tuple[str, int], RequestError] = {}
        self.finish_reasons: dict[tuple[str, int], str] = {}

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """Return the conversation as JSON.

        Raises:
            InputError: The task starts the model's answer itself.
        """
        if chat_history[-1]["role"] == "assistant":
            message = "this lm-eval task starts the model's answer itself (gen_prefix), which engines do not support"
            remedy = "Choose another task; for HumanEval and MBPP, use 'task: humaneval' and 'task: mbpp'."
            raise InputError(message, remedy=remedy)
        return json.dumps([[turn["role"], turn["content"]] for turn in chat_history], ensure_ascii=False)

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Return the replies in the order of the requests, each cut at its first stop text, or "" if it failed."""
        return asyncio.run(_gather([self._generate(request, number) for number, request in enumerate(requests)]))

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Return the log-probabilities of the continuations in nats, or -inf for requests that failed.

        The second value, whether the continuation is greedy, is unknown and always False.
        """
        return asyncio.run(_gather([self._score(request, number) for number, request in enumerate(requests)]))

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        """Raise NotImplementedError: chat models do not support it."""
        raise NotImplementedError("the likelihood of whole documents is not supported for chat models")

    async def _generate(self, request: Instance, number: int) -> str:
        context, options = _context_and_argument(request)
        messages = with_system(parse_turns(context), self.system)
        request_id = row_id(f"{document_id(request)}", self.step_key, number)
        max_tokens = self.max_tokens or int(options.get("max_gen_toks", HARNESS_MAX_TOKENS))
        temperature = float(options.get("temperature", 0.0)) if options.get("do_sample") else 0.0
        sampling = Sampling(temperature, float(options.get("top_p", 1.0)) if temperature else 1.0, max_tokens)
        try:
            said = await ask(self.client, GenerateRequest(request_id, messages, sampling, request_seed(request_id)))
        except RequestError as why:
            self.errors[document_id(request)] = why
            return ""
        self.finish_reasons[document_id(request)] = said.finish_reason
        stops = options.get("until") or []
        return truncate_at_stop(said.text, [stops] if isinstance(stops, str) else stops)

    async def _score(self, request: Instance, number: int) -> tuple[float, bool]:
        context, text = _context_and_argument(request)
        prompt = "\n\n".join(content.strip() for _, content in parse_turns(context))
        request_id = row_id(f"{document_id(request)}", self.step_key, number)
        before = with_system((), self.system)
        try:
            said = await self.client.logprobs(LogprobRequest(request_id, prompt, text, chat=True, before=before))
        except RequestError as why:
            self.errors[document_id(request)] = why
            return -math.inf, False
        return math.fsum(value for value in said.logprobs[said.boundary :] if value is not None), False


def _context_and_argument(request: Instance) -> tuple[str, Any]:
    """Return the context, and the argument of the request: generation options or a continuation."""
    given: Any = request.args
    return str(given[0]), given[1]


async def _gather(asked: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
    return list(await asyncio.gather(*asked))


def document_id(request: Instance) -> tuple[str, int]:
    """Return the name of the request's task and the number of its document."""
    return str(request.task_name), int(request.doc_id)  # pyright: ignore[reportArgumentType]


def parse_turns(context: str) -> Turns:
    """Return the conversation that `apply_chat_template` encoded as JSON."""
    return tuple((role, content) for role, content in json.loads(context))


def truncate_at_stop(text: str, stops: Sequence[str]) -> str:
    """Return the text before the first occurrence of any stop text."""
    return text[: min((place for stop in stops if stop and (place := text.find(stop)) >= 0), default=len(text))]
