"""The HTTP engine: a model behind an OpenAI-compatible endpoint."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from typing import Any

from actors.engine import (
    EngineSpec,
    Feature,
    GenerateRequest,
    Generation,
    LogprobRequest,
    RequestError,
    TokenLogprobs,
    check_features,
)
from actors.engines.http.client import HttpClient
from actors.engines.http.endpoint import HTTP_RETRIES, Endpoint, probe
from actors.engines.options import parse_options
from actors.engines.unsupported import UnsupportedEngine

CHARS_PER_TOKEN = 4  # a guess, for the pace; the answer's usage corrects it


class HttpEngine(UnsupportedEngine):
    """A model that a server knows as `spec.model`; the spec's revision, dtype and length are the server's business.

    Option `url` is the API's address, like http://host:8000/v1. `key_file` is the path of the file that holds the key
    (mode 0600, on every node that may run the engine), or `key_env` the name of an environment variable that holds it;
    `in_flight`, `requests_per_minute` and `tokens_per_minute` (0: no bound) say how hard the server may be used;
    `retries` and `timeout` (seconds) how patient we are.

    The server tokenises: it alone decides whether content that spells control tokens is text, it may refuse a prompt
    that leaves no room for `max_tokens`, and count the end token in `tokens_out` where no log-probabilities are asked.
    """

    features: frozenset[Feature] = frozenset({"prompt_logprobs", "reply_logprobs", "schema"})

    def __init__(self, spec: EngineSpec) -> None:
        defaults = {
            "in_flight": 64,
            "requests_per_minute": 0,
            "tokens_per_minute": 0,
            "retries": HTTP_RETRIES,
            "timeout": 600.0,
        }
        options: dict[str, Any] = parse_options(spec, url="", key_file="", key_env="", **defaults)
        if not options["url"]:
            raise ValueError("engine 'http' needs the option 'url', the API's address, like http://host:8000/v1")
        self._model = spec.model
        endpoint = Endpoint(**options)
        minimal_request = {"model": spec.model, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
        probe(endpoint, spec.model, minimal_request)
        self._client = HttpClient(endpoint, spec.model)

    @property
    def retry_count(self) -> int:
        """Requests that were sent again."""
        return self._client.retry_count

    async def generate(self, request: GenerateRequest) -> Generation:
        """Continue one conversation.

        RequestError for what the server refuses (`too_long`, `refused`, `http_400`...), EngineLost if it is gone.
        """
        check_features(self.features, request)
        tokens = sum(len(content) for _, content in request.messages) // CHARS_PER_TOKEN
        return await self._client.post(
            "/chat/completions", self._chat_body(request), tokens, lambda answer: parse_generation(request, answer)
        )

    async def logprobs(self, request: LogprobRequest) -> TokenLogprobs:
        """Score texts by the route /completions with `echo`, as vLLM serves it; errors as of `generate`."""
        if request.chat or request.bos != "auto":
            raise RequestError("unsupported", "an endpoint scores raw text only, and decides about the BOS itself")
        pair, alone = await asyncio.gather(
            self._score(request.id, request.context, request.text), self._score(request.id, "", request.alone)
        )
        return replace(pair, alone=alone.logprobs, lengths=(*pair.lengths[:2], alone.lengths[1]))

    async def _score(self, request_id: str, context: str, text: str) -> TokenLogprobs:
        prompt = context + text
        if not prompt:
            return TokenLogprobs(request_id, 0, ())
        body = {"model": self._model, "prompt": prompt, "echo": True, "max_tokens": 1, "logprobs": 1, "temperature": 0}
        return await self._client.post(
            "/completions",
            body,
            len(prompt) // CHARS_PER_TOKEN,
            lambda answer: parse_echoed_logprobs(request_id, context, text, answer),
        )

    def progress(self) -> int:
        """The clock: every attempt has its own timeout, so a silent server is no hanging engine."""
        return int(time.monotonic() * 10)

    async def sleep(self) -> None:
        """RequestError("unsupported"): the server's memory is its own."""
        raise RequestError("unsupported", "an endpoint can not be put to sleep")

    async def wake(self) -> None:
        """RequestError("unsupported")."""
        await self.sleep()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _chat_body(self, request: GenerateRequest) -> dict[str, Any]:
        sampling = request.sampling
        body: dict[str, Any] = {
            "model": self._model,
            "messages": [{"role": role, "content": content} for role, content in request.messages],
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": request.seed % 2**63,
        }
        if request.logprobs:
            body["logprobs"] = True
        if request.schema is not None:
            schema = {"name": "reply", "schema": parse_schema(request.schema), "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body


def parse_schema(schema: str) -> Any:
    """The JSON Schema. RequestError("schema") if it is no JSON."""
    try:
        return json.loads(schema)
    except ValueError as error:
        raise RequestError("schema", f"the schema is no JSON: {error}") from None


def parse_generation(request: GenerateRequest, answer: dict[str, Any]) -> Generation:
    """The reply in a chat completion.

    RequestError("refused") if the server withholds it, RequestError("not_unicode") if it holds half a character, which
    JSON can spell and no file can keep.
    """
    choice, usage = answer["choices"][0], answer["usage"]
    message, reason = choice["message"], choice["finish_reason"]
    if reason == "content_filter" or message.get("refusal"):
        raise RequestError("refused", str(message.get("refusal") or "the server's content filter withholds the reply"))
    text = str(message["content"] or "")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RequestError("not_unicode", "the reply holds a lone surrogate") from None
    logprobs = parse_reply_logprobs(choice["logprobs"]["content"], text) if request.logprobs else None
    tokens_out = usage["completion_tokens"] if logprobs is None else len(logprobs)
    ended = "length" if reason == "length" else "stop"
    return Generation(request.id, text, ended, usage["prompt_tokens"], tokens_out, logprobs)


def parse_reply_logprobs(content: list[dict[str, Any]], text: str) -> tuple[float, ...]:
    """The log-probabilities of a reply's tokens, without that of an end token, which is not in the text."""
    ended = content and not text.endswith(content[-1]["token"])
    return tuple(float(entry["logprob"]) for entry in (content[:-1] if ended else content))


def parse_echoed_logprobs(request_id: str, context: str, text: str, answer: dict[str, Any]) -> TokenLogprobs:
    """The prompt's log-probabilities in an echoed completion, without the token that was generated.

    The boundary is the number of tokens that start before the context's end. A start token, which the echo spells out
    although it is not in the prompt, moves all offsets.
    """
    entries, count = answer["choices"][0]["logprobs"], answer["usage"]["prompt_tokens"]
    first = entries["tokens"][0]
    has_start_token = not (context + text).startswith(first)
    end = len(context) + len(first) * has_start_token
    boundary = sum(offset < end for offset in entries["text_offset"][:count]) if context else 0
    lengths = (max(0, boundary - has_start_token), count - max(boundary, has_start_token), 0)
    return TokenLogprobs(request_id, boundary, (None, *entries["token_logprobs"][1:count]), lengths=lengths)
