"""The scripted engine: deterministic text without a model, with scripted latency and faults.

It drives tests, simulations of scale and fault injection through the same path as the real engines.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import math
import os
import random
import re
import time
from collections.abc import Callable

from actors.engine import (
    Classification,
    ClassifyRequest,
    EngineSpec,
    Feature,
    FinishReason,
    GenerateRequest,
    Generation,
    LogprobRequest,
    RequestError,
    TokenLogprobs,
    check_features,
)
from actors.engines.options import Option, parse_options, reward_index
from actors.engines.scripted_replies import first_alternatives, make_reply

HOLD_POLL_SECONDS = 0.02
OPTIONS: dict[str, Option] = {
    "latency": 0.0,
    "latency_sigma": 0.0,
    "slots": 0,
    "style": "answer",
    "thoughts": "",
    "poison": "",
    "refuse": "",
    "broken": "",
    "hang": "",
    "hold": "",
    "release": "",
    "load_seconds": 0.0,
    "fail_load": False,
    "die_load": False,
    "labels": "reward",
    "logits": "",
    "reward_index": -1,
}


class ScriptedEngine:
    """Replies are a pure function of model, messages, sampling and seed; a token is a word.

    Options: `latency` is the mean duration of a request in seconds, log-normal with `latency_sigma`. Up to `slots`
    requests are served concurrently (0: no limit). `style` is `answer` (rewriting prompts get a longer instruction, all
    others an answer) or `echo` (the reply is the prompt). `thoughts` come before each reply, apart from its text.
    Faults: a request that contains the text `poison` kills the process, one that contains `refuse` raises RequestError,
    one that contains `broken` raises an unexpected error of many lines, and one that contains `hang` blocks itself and
    all later requests. If `release` is the path of a file, requests that
    contain `hold` are answered once the file exists, so that tests decide when. Loading takes `load_seconds`; with
    `fail_load` it raises RuntimeError, with `die_load` the process exits.

    As a classifier it has `labels` (comma-separated names) and samples their logits, unless a rule in `logits` matches.
    Rules are separated by semicolons: `TEXT=0.1,2,-1` for requests that contain TEXT, or `0,1,2` for all others.
    `reward_index` is the same as the classifier engine's.
    """

    features: frozenset[Feature] = frozenset(
        {"prompt_logprobs", "prompt_ranks", "reply_logprobs", "top_logprobs", "classify", "sleep"}
    )

    def __init__(self, spec: EngineSpec) -> None:
        options = parse_options(spec, **OPTIONS)
        self._model, self._max_length = spec.model, spec.max_length
        self._latency, self._sigma = float(options["latency"]), float(options["latency_sigma"])
        self._poison, self._refuse, self._hang = (str(options[name]) for name in ("poison", "refuse", "hang"))
        self._broken = str(options["broken"])
        self._hold, self._release = str(options["hold"]), str(options["release"])
        self._style, self._thoughts = str(options["style"]), str(options["thoughts"])
        if self._style not in ("answer", "echo"):
            raise ValueError(f"scripted style {self._style!r}: one of answer, echo")
        self._labels = tuple(str(options["labels"]).split(","))
        self._rules = _parse_rules(str(options["logits"]), len(self._labels))
        self._reward_index = reward_index(int(options["reward_index"]), self._labels)
        self._slots = _Slots(int(options["slots"]))
        self._stuck_at: int | None = None
        self._awake = True
        _simulate_load(float(options["load_seconds"]), bool(options["fail_load"]), bool(options["die_load"]))

    async def generate(self, request: GenerateRequest) -> Generation:
        """Return a scripted reply.

        Raises:
            RequestError: The prompt contains `refuse`, or is too long.
        """
        check_features(self.features, request)
        prompt = "\n".join(content for _, content in request.messages)
        tokens_in = len(prompt.split())
        remaining = self._remaining_tokens(prompt, tokens_in)
        sampled = _sampled(request) if request.sampling.temperature > 0 else ""
        draw = self._rng("generate", request.messages, sampled=sampled)
        await self._serve(prompt, lambda: self._rng("wait", request.messages, sampled=sampled))
        text = prompt if self._style == "echo" else make_reply(request.messages[-1][1], draw)
        words = re.findall(r"\s*\S+", text)
        limit = min(request.sampling.max_tokens, remaining)
        thoughts = re.findall(r"\s*\S+", self._thoughts)[:limit]
        kept = words[: limit - len(thoughts)]
        reason: FinishReason = "stop" if len(kept) == len(words) else "length"
        logprobs = tuple(-draw.expovariate(1.0) for _ in kept) if request.logprobs else None
        tokens_out = len(thoughts) + len(kept)
        first, count = "".join(kept[:1]).strip(), request.top_logprobs
        alternatives = first_alternatives(first, count, draw) if count else ()
        return Generation(
            *(request.id, "".join(kept).lstrip(), reason, tokens_in, tokens_out, logprobs, "".join(thoughts)),
            alternatives,
        )

    async def logprobs(self, request: LogprobRequest) -> TokenLogprobs:
        """Return scripted log-probabilities, one per word. A context makes words slightly more likely."""
        before = request.raw_before
        context, header = before + request.context, request.alone_before.split() if request.alone else []
        alone = [*header, *request.alone.split()]
        text = context + request.text
        words = text.split()
        self._remaining_tokens(text, max(len(words), len(alone)) - 1)
        boundary = len(context.split())
        await self._serve(text, lambda: self._rng("wait", context, request.text))
        lengths = (boundary, len(words) - boundary, len(alone) - len(header))
        pair = self._word_logprobs(words, 0.8 if boundary else 1.0)
        counts = tuple(len(each.split()) for each in request.counted)
        lone = (*[None] * len(header), *self._word_logprobs(alone, 1.0)[len(header) :])
        ranks = tuple(None if one is None else max(1, round(math.exp(-one))) for one in pair) if request.ranks else ()
        scored = TokenLogprobs(request.id, boundary, pair, lone, lengths, counts, ranks)
        words_before = len(before.split())
        return scored.without(TokenLogprobs(request.id, words_before, (), lengths=(words_before, 0, 0)))

    def _word_logprobs(self, words: list[str], scale: float) -> tuple[float | None, ...]:
        drawn = [-scale * self._rng("logprobs", i, word).uniform(0.5, 3.0) for i, word in enumerate(words[1:])]
        return (None, *drawn) if words else ()

    async def classify(self, request: ClassifyRequest) -> Classification:
        """Return scripted logits."""
        texts = (request.text, request.pair or "", *(content for _, content in request.messages))
        text = "\n".join(texts)
        tokens = len(text.split())
        self._remaining_tokens(text, tokens - 1)
        await self._serve(text, lambda: self._rng("wait", texts))
        draw = self._rng("classify", texts)
        scripted = next((logits for part, logits in self._rules if part in text), None)
        logits = scripted or tuple(draw.gauss(0.0, 1.0) for _ in self._labels)
        reward = None if self._reward_index is None else logits[self._reward_index]
        return Classification(request.id, logits, self._labels, reward, tokens)

    def progress(self) -> int:
        """Return the time in tenths of a second, until a request hangs."""
        return int(time.monotonic() * 10) if self._stuck_at is None else self._stuck_at

    def cpu_seconds(self) -> float:
        """Return 0: nothing is computed."""
        return 0.0

    async def sleep(self) -> None:
        """Raise RuntimeError for requests until `wake`, as a real engine's weights are not on the device."""
        self._awake = False

    async def wake(self) -> None:
        """Accept requests again."""
        self._awake = True

    def close(self) -> None:
        """Do nothing: there is nothing to free."""

    def _remaining_tokens(self, text: str, tokens: int) -> int:
        """Return how many tokens fit after `tokens`, and inject the faults of the options."""
        if self._poison and self._poison in text:
            os._exit(1)
        if self._refuse and self._refuse in text:
            raise RequestError("refused", f"the text contains {self._refuse!r}")
        if self._broken and self._broken in text:
            raise ValueError("the error is scripted\n" + "a line that is too much\n" * 100)
        if tokens >= self._max_length:
            raise RequestError("too_long", f"the prompt has {tokens} tokens, the model takes {self._max_length}")
        return self._max_length - tokens

    def _rng(self, kind: str, *subject: str | int | tuple[object, ...], sampled: str = "") -> random.Random:
        text = ", ".join(map(repr, (self._model, kind, *subject)))
        return random.Random(hashlib.sha256(f"({text}{sampled})".encode()).digest())

    async def _serve(self, text: str, draw: Callable[[], random.Random]) -> None:
        """Wait for the request's latency in a slot. Never return once the engine hangs."""
        if not self._awake:
            raise RuntimeError("the engine is asleep: call wake() first")
        async with self._slots.slot():
            if self._hang and self._hang in text:
                self._stuck_at = self.progress()
            if self._latency > 0 and self._stuck_at is None:
                mu = math.log(self._latency) - self._sigma**2 / 2  # the mean is `latency` for any sigma
                await asyncio.sleep(draw().lognormvariate(mu, self._sigma))
            while self._release and self._hold in text and not os.path.exists(self._release):  # noqa: PTH110 quicker
                await asyncio.sleep(HOLD_POLL_SECONDS)
            while self._stuck_at is not None:
                await asyncio.sleep(3600)


def _sampled(request: GenerateRequest) -> str:
    """Return sampling and seed as part of the random seed. Tests depend on the exact text, so it is written out."""
    sampling = request.sampling
    named = f"temperature={sampling.temperature!r}, top_p={sampling.top_p!r}, max_tokens={sampling.max_tokens!r}"
    return f", Sampling({named}), {request.seed!r}"


class _Slots:
    """Limits concurrency to `count` holders (0: no limit), with one semaphore per event loop."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._loop: asyncio.AbstractEventLoop | None = None
        self._semaphore = asyncio.Semaphore(count)

    def slot(self) -> contextlib.AbstractAsyncContextManager[None]:
        """Return a context manager that holds one slot."""
        if not self._count:
            return contextlib.nullcontext()
        if self._loop is not asyncio.get_running_loop():
            self._loop, self._semaphore = asyncio.get_running_loop(), asyncio.Semaphore(self._count)
        return self._semaphore


def _simulate_load(seconds: float, fail: bool, die: bool) -> None:
    time.sleep(seconds)
    if die:
        os._exit(1)
    if fail:
        raise RuntimeError("the load is scripted to fail")


def _parse_rules(text: str, labels: int) -> list[tuple[str, tuple[float, ...]]]:
    """Return pairs of a text and the logits of requests that contain it.

    Raises:
        ValueError: A rule does not have one number per label.
    """
    rules: list[tuple[str, tuple[float, ...]]] = []
    for rule in filter(None, text.split(";")):
        part, _, numbers = rule.rpartition("=")
        rules.append((part, tuple(map(float, numbers.split(",")))))
        if len(rules[-1][1]) != labels:
            raise ValueError(f"scripted logits {rule!r}: expected one number for each of the {labels} labels")
    return rules
