"""The HTTP engine: a model behind an OpenAI-compatible endpoint."""

from __future__ import annotations

import asyncio
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
from actors.engines.http.batches.make import batch_endpoint, batch_exchange
from actors.engines.http.bodies import CONTROL_TEXT, RequestBodies, control_messages
from actors.engines.http.completions import ReadReply, estimated_tokens, read_completion
from actors.engines.http.echo import read_echo
from actors.engines.http.endpoint import Endpoint
from actors.engines.http.exchange import Call, Exchange
from actors.engines.http.options import ADDRESS_OPTIONS, OPTIONS, PARAMETER_OPTIONS
from actors.engines.http.probe import LOGPROBS_OF, probe, probe_features
from actors.engines.options import parse_options
from actors.engines.unsupported import UnsupportedEngine


class HttpEngine(UnsupportedEngine):
    """A model that a server calls `spec.model`. The server sets revision, dtype and length; the spec's are ignored.

    Options: `url` is the API's address, like http://host:8000/v1. `key_file` is the path of the file that contains the
    API key (mode 0600, on the node of the run's driver), or `key_env` the name of an environment variable with
    the key; `key_header` is the header in which it is sent in place of `Authorization`. `headers` and `query` are sent
    with every request; their values are texts, or mappings {file: PATH} or {env: NAME}. `ca_file` has certificates to
    trust. `in_flight`, `requests_per_minute` and `tokens_per_minute` (0: no limit) limit the load on the server.
    `retries` and `timeout` (seconds) apply to each request. `max_tokens_name`, `drop` and `body` change the parameters
    of requests (`RequestBodies`).

    With `batch` (openai or anthropic), requests are sent through that batch API. A batch is sent when no request has
    arrived for `batch_wait` seconds, and asked for every `batch_poll` seconds. `batch_log`, a folder or URL, records
    the batches: a later process waits for those of an earlier one.

    The server tokenises. It decides whether content that spells control tokens is text. It may reject a prompt that
    leaves fewer than `max_tokens` tokens. It may count the end token in `tokens_out` unless log-probabilities are
    requested.
    """

    features: frozenset[Feature] = frozenset({"prompt_logprobs", "reply_logprobs", "top_logprobs", "schema"})

    def __init__(self, spec: EngineSpec) -> None:
        options, endpoint, self._bodies = _parse(spec)
        probe(endpoint, spec.model, self._bodies.probe())
        probe_features(endpoint, self._bodies, spec.needs)
        self._exchange = (
            batch_exchange(endpoint, spec.model, options) if options["batch"] else Exchange(endpoint, spec.model)
        )
        self._notices: list[str] = []
        self._told_uncounted = False

    @property
    def retry_count(self) -> int:
        """Number of requests that were sent again."""
        return self._exchange.retry_count

    def take_notices(self) -> list[str]:
        """Return what users should know about the server, each once."""
        notices, self._notices = self._notices, []
        return notices

    async def generate(self, request: GenerateRequest) -> Generation:
        """Continue one conversation.

        Raises:
            RequestError: The server has no reply to this request (`too_long`, `refused`, `http_400`...).
            EndpointRefused: The server rejects all requests, for example because the API key has expired.
            EngineLost: The server does not answer.
        """
        check_features(self.features, request)
        body = self._bodies.chat(request)
        call = Call(
            "/chat/completions",
            body,
            estimated_tokens(*(content for _, content in request.messages)),
            lambda answer: read_completion(request, answer),
            body | {"messages": control_messages()},
            lambda answer: read_completion(replace(request, messages=(("user", CONTROL_TEXT),)), answer),
        )
        return self._generation(await self._exchange.ask(call))

    async def logprobs(self, request: LogprobRequest) -> TokenLogprobs:
        """Score texts with the route /completions and `echo`, as vLLM serves it. Raises the errors of `generate`."""
        if request.chat or request.bos != "auto":
            raise RequestError("unsupported", "an http model scores raw text only; its server sets the BOS token")
        pair, alone, *counted = await asyncio.gather(
            self._score(request.id, request.raw_before, request.context, request.text),
            self._score(request.id, request.alone_before, "", request.alone),
            *(self._score(request.id, "", "", text) for text in request.counted),
        )
        lengths, counts = (*pair.lengths[:2], alone.lengths[1]), tuple(each.lengths[1] for each in counted)
        return replace(pair, alone=alone.logprobs, lengths=lengths, counts=counts)

    async def _score(self, request_id: str, before: str, context: str, text: str) -> TokenLogprobs:
        prompt = before + context + text
        if not prompt:
            return TokenLogprobs(request_id, 0, ())
        call = Call(
            "/completions",
            self._bodies.echo(prompt),
            estimated_tokens(prompt),
            lambda answer: read_echo(request_id, before, context, text, answer),
            self._bodies.echo(CONTROL_TEXT),
            lambda answer: read_echo(request_id, "", "", CONTROL_TEXT, answer),
        )
        return await self._exchange.ask(call)

    def progress(self) -> int:
        """Return the time: each attempt has a timeout, so a server that does not answer must not count as a hang."""
        return int(time.monotonic() * 10)

    async def sleep(self) -> None:
        """Raise RequestError("unsupported"): the engine does not control the server's memory."""
        raise RequestError("unsupported", "an http model cannot be offloaded")

    async def wake(self) -> None:
        """Raise RequestError("unsupported")."""
        await self.sleep()

    def close(self) -> None:
        """Close the connections."""
        self._exchange.client.close()

    def _generation(self, read: ReadReply) -> Generation:
        if not read.counted and not self._told_uncounted:
            self._told_uncounted = True
            self._notices.append("the server does not count all tokens: they are estimated from the number of letters")
        return read.generation


def check_spec(spec: EngineSpec) -> None:
    """Check the address, the files and the environment variables that a model's options name, on this machine.

    Raises:
        ValueError: An option is wrong, or a file or variable is missing or malformed.
    """
    _parse(spec)


def probe_model(spec: EngineSpec) -> str:
    """Ask a model's server once, as far as `spec.needs` says for log-probabilities, too; return what was found.

    Raises:
        ConnectionError: The server does not answer.
        ValueError: An option is wrong, or the server rejects the key or the request, or lacks what is needed.
    """
    options, endpoint, bodies = _parse(spec)
    started = time.monotonic()
    probe(endpoint, spec.model, bodies.probe(), always_chat=not options["batch"])
    found = f"{endpoint.base} answers '{spec.model}' in {time.monotonic() - started:.1f} s"
    probe_features(endpoint, bodies, spec.needs)
    names = ", ".join(LOGPROBS_OF[feature] for feature in spec.needs if feature in LOGPROBS_OF)
    return found + (f" and gives log-probabilities ({names})" if names else "")


def _parse(spec: EngineSpec) -> tuple[dict[str, Any], Endpoint, RequestBodies]:
    options: dict[str, Any] = parse_options(spec, **OPTIONS)
    if not options["url"]:
        raise ValueError("engine 'http' needs the option 'url', the API's address, like http://host:8000/v1")
    endpoint = Endpoint(**{name: options[name] for name in ADDRESS_OPTIONS})
    endpoint = batch_endpoint(endpoint, options) if options["batch"] else endpoint
    parameters = {name: options[name] for name in PARAMETER_OPTIONS}
    return options, endpoint, RequestBodies(spec.model, **parameters, template=dict(spec.template_args))
