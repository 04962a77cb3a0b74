"""The transformers engine: overlapping calls are batched by length and run in one worker thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from actors.batching import MicroBatcher
from actors.decoding import Row, generate_rows
from actors.engine import EngineSpec, GenerateRequest, Generation, LogprobRequest, TokenLogprobs
from actors.loading import load_model, load_tokenizer, usable_length
from actors.options import take_options
from actors.scoring import Scored, score_rows
from actors.text import TextEncoder


class TransformersEngine:
    """A Hugging Face causal LM. Options: `max_batch` rows and `max_batch_tokens` tokens (padding counts) of a batch."""

    def __init__(self, spec: EngineSpec) -> None:
        options = take_options(spec, max_batch=32, max_batch_tokens=16384)
        tokenizer, self._model = load_tokenizer(spec), load_model(spec)
        length = usable_length(spec, self._model.config)
        self._text = TextEncoder(tokenizer, length, self._model.generation_config)
        self._batcher = MicroBatcher(int(options["max_batch"]), int(options["max_batch_tokens"]))

    async def generate(self, request: GenerateRequest) -> Generation:
        """Continue one conversation. RequestError if the prompt does not fit or the chat template refuses it."""
        prompt, max_tokens = self._text.prompt(request.messages, request.sampling.max_tokens)
        row = Row(tuple(prompt), replace(request.sampling, max_tokens=max_tokens), request.seed)
        # rows leave their batch together: those of like length limits wait least for each other
        group = max_tokens.bit_length()
        tokens, stopped = await self._batcher.submit(self._generate, row, group, len(prompt) + max_tokens)
        return self._text.generation(request.id, len(prompt), tokens, stopped)

    async def logprobs(self, request: LogprobRequest) -> TokenLogprobs:
        """Score one text. RequestError if it does not fit."""
        tokens, boundary = self._text.scored_text(request.context, request.text)
        if not tokens:
            return TokenLogprobs(request.id, 0, ())
        logprobs = await self._batcher.submit(self._score, tuple(tokens), None, len(tokens))
        return TokenLogprobs(request.id, boundary, logprobs)

    def close(self) -> None:
        """Free the model's memory; calls that still wait raise RuntimeError."""
        self._batcher.close()
        del self._model

    def _generate(self, rows: Sequence[Row]) -> list[tuple[list[int], bool]]:
        return generate_rows(self._model, rows, self._text.stops, self._text.pad)

    def _score(self, rows: Sequence[tuple[int, ...]]) -> list[Scored]:
        return score_rows(self._model, rows, self._text.pad)
