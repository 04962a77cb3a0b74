"""The transformers engine: concurrent calls are batched by length and run in one worker thread."""

from __future__ import annotations

import asyncio
import time
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
from actors.engines.options import TRANSFORMERS_OPTIONS, parse_options
from actors.engines.torch_engine import TorchEngine, run_on_device
from actors.inference.chat_template import template_ids
from actors.inference.decoding import DecodeRequest, generate_rows
from actors.inference.micro_batcher import Pace
from actors.inference.model_loading import base_model, check_numbers, load_model, load_tokenizer, usable_length
from actors.inference.scored_texts import to_token_logprobs
from actors.inference.scoring.logprobs import RowLogprobs, token_logprobs
from actors.inference.text_codec import SampledTokens, TextEncoder
from actors.model_folder.generation_settings import folder_stop_ids
from actors.model_folder.vocabulary import check_vocabulary, pad_id


class TransformersEngine(TorchEngine):
    """A Hugging Face causal LM. Options `max_batch` and `max_batch_tokens` limit a batch's rows and padded tokens."""

    features: frozenset[Feature] = frozenset({"prompt_logprobs", "reply_logprobs", "top_logprobs", "sleep"})

    def __init__(self, spec: EngineSpec) -> None:
        options = parse_options(spec, **TRANSFORMERS_OPTIONS)
        tokenizer, model = load_tokenizer(spec), load_model(spec)
        stops = folder_stop_ids(base_model(spec.model), spec.revision, model.config)
        check_vocabulary(spec.model, tokenizer, model.config, template_ids(tokenizer))
        check_numbers(spec.model, model)
        length, pad = usable_length(spec.max_length, model.config), pad_id(tokenizer, model.config)
        self._text = TextEncoder(tokenizer, length, stops, pad)
        self._prefill_pace, self._scoring_pace = Pace(), Pace()
        super().__init__(model, int(options["max_batch"]), int(options["max_batch_tokens"]))

    async def generate(self, request: GenerateRequest) -> Generation:
        """Continue one conversation.

        Raises:
            RequestError: The prompt is too long, or the chat template rejects it.
        """
        check_features(self.features, request)
        prompt, max_tokens = self._text.encode_prompt(request.messages, request.sampling.max_tokens)
        sampling = replace(request.sampling, max_tokens=max_tokens)
        row = DecodeRequest(tuple(prompt), sampling, request.seed, request.logprobs, request.top_logprobs)
        # all rows of a batch finish together, so rows with similar length limits are batched
        group = max_tokens.bit_length()
        sampled = await self._batcher.submit(
            self._generate, row, group, len(prompt) + max_tokens, len(prompt), self._prefill_pace
        )
        return self._text.to_generation(request.id, len(prompt), sampled)

    async def logprobs(self, request: LogprobRequest) -> TokenLogprobs:
        """Score texts.

        Raises:
            RequestError: A text is too long.
        """
        scored_texts = self._text.scored_texts(request)
        return to_token_logprobs(
            request.id, scored_texts, await asyncio.gather(*(self._row_logprobs(scored.ids) for scored in scored_texts))
        )

    async def _row_logprobs(self, ids: tuple[int, ...]) -> RowLogprobs:
        if not ids:
            return ()
        return await self._batcher.submit(self._score, ids, None, len(ids), len(ids), self._scoring_pace)

    def _generate(self, rows: Sequence[DecodeRequest]) -> list[SampledTokens]:
        started, steps, width = time.monotonic(), 0, max(len(row.prompt) for row in rows)

        def on_step() -> None:
            nonlocal steps
            if not steps:  # the prompts have been read
                self._prefill_pace.record(width * len(rows), time.monotonic() - started)
            steps += 1
            self._count_step()

        return run_on_device(lambda: generate_rows(self._model, rows, self._text.stops, self._text.pad, on_step))

    def _score(self, rows: Sequence[tuple[int, ...]]) -> list[RowLogprobs]:
        started = time.monotonic()
        scored = run_on_device(lambda: token_logprobs(self._model, rows, self._text.pad, self._count_step))
        self._scoring_pace.record(len(rows) * max(map(len, rows)), time.monotonic() - started)
        return scored
