"""The transformers engine: overlapping calls are batched by length and run in one worker thread."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from actors.engine import (
    EngineSpec,
    Feature,
    GenerateRequest,
    Generation,
    LogprobRequest,
    TokenLogprobs,
    check_features,
)
from actors.engines.options import take_options
from actors.engines.torch_engine import TorchEngine, within_memory
from actors.inference.decoding import Row, generate_rows
from actors.inference.logprobs import Scored, score_rows
from actors.inference.model_loading import load_model, load_tokenizer, usable_length
from actors.inference.scored_texts import answered
from actors.inference.text_codec import Drawn, TextEncoder


class TransformersEngine(TorchEngine):
    """A Hugging Face causal LM. Options: `max_batch` rows and `max_batch_tokens` tokens (padding counts) of a batch."""

    features: frozenset[Feature] = frozenset({"prompt_logprobs", "reply_logprobs", "sleep"})

    def __init__(self, spec: EngineSpec) -> None:
        options = take_options(spec, max_batch=32, max_batch_tokens=16384)
        tokenizer, model = load_tokenizer(spec), load_model(spec)
        self._text = TextEncoder(tokenizer, usable_length(spec, model.config), model.generation_config)
        super().__init__(model, int(options["max_batch"]), int(options["max_batch_tokens"]))

    async def generate(self, request: GenerateRequest) -> Generation:
        """Continue one conversation. RequestError if the prompt does not fit or the chat template refuses it."""
        check_features(self.features, request)
        prompt, max_tokens = self._text.prompt(request.messages, request.sampling.max_tokens)
        row = Row(tuple(prompt), replace(request.sampling, max_tokens=max_tokens), request.seed, request.logprobs)
        # rows leave their batch together: those of like length limits wait least for each other
        group = max_tokens.bit_length()
        drawn = await self._batcher.submit(self._generate, row, group, len(prompt) + max_tokens)
        return self._text.generation(request.id, len(prompt), drawn)

    async def logprobs(self, request: LogprobRequest) -> TokenLogprobs:
        """Score texts. RequestError if one does not fit."""
        found = self._text.passages(request)
        return answered(request.id, found, await asyncio.gather(*(self._values(passage.ids) for passage in found)))

    async def _values(self, ids: tuple[int, ...]) -> Scored:
        return await self._batcher.submit(self._score, ids, None, len(ids)) if ids else ()

    def _generate(self, rows: Sequence[Row]) -> list[Drawn]:
        return within_memory(lambda: generate_rows(self._model, rows, self._text.stops, self._text.pad, self._step))

    def _score(self, rows: Sequence[tuple[int, ...]]) -> list[Scored]:
        return within_memory(lambda: score_rows(self._model, rows, self._text.pad, self._step))
