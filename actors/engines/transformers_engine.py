"""The transformers engine: concurrent calls are batched by length and run in one worker thread.

With the option `lora`, requests may name students of the model. Their adapters are loaded when a request first names
them, in the worker thread, and rows of different students share a batch.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch

from actors.engine import (
    EngineSpec,
    Feature,
    GenerateRequest,
    Generation,
    LoadError,
    LogprobRequest,
    TokenLogprobs,
    check_features,
)
from actors.engines.options import TRANSFORMERS_OPTIONS, parse_options
from actors.engines.torch_engine import TorchEngine, run_on_device
from actors.inference.adapters.lora_layers import LoraLayers
from actors.inference.decoding.generation import generate_rows
from actors.inference.decoding.sampled_tokens import SampledTokens
from actors.inference.decoding.sampler import DecodeRequest
from actors.inference.micro_batcher import Pace
from actors.inference.model_loading import base_model, check_numbers, load_model
from actors.inference.scored_texts import to_token_logprobs
from actors.inference.scoring.logprobs import RowScores, score_tokens
from actors.inference.student_texts import student_encoder, text_encoder
from actors.inference.text_codec import TextEncoder
from actors.model_folder.generation_settings import folder_stop_ids


class _GeneratedRow(NamedTuple):
    """A row to generate, the adapter that is applied to it, and the ids that end it."""

    row: DecodeRequest
    adapter: str | None
    stops: frozenset[int]


class _ScoredRow(NamedTuple):
    """The ids of a text to score, the adapter that is applied to it, and whether ranks are asked for."""

    ids: tuple[int, ...]
    adapter: str | None
    ranked: bool


class TransformersEngine(TorchEngine):
    """A Hugging Face causal LM, and LoRA adapters beside it.

    Options `max_batch` and `max_batch_tokens` limit a batch's rows and padded tokens. With `lora`, requests may name
    adapters, of which `max_loras` stay loaded. A batch then has up to `max_batch` rows for each of them.
    """

    features: frozenset[Feature] = frozenset(
        {"prompt_logprobs", "prompt_ranks", "reply_logprobs", "top_logprobs", "sleep"}
    )

    def __init__(self, spec: EngineSpec) -> None:
        options = parse_options(spec, **TRANSFORMERS_OPTIONS)
        adapters = int(options["max_loras"]) if options["lora"] else 0
        if adapters:
            self.features = frozenset[Feature]({*self.features, "adapter"})
        model = load_model(spec)
        self._stops = folder_stop_ids(base_model(spec.model), spec.revision, model.config)
        self._spec, self._text = spec, text_encoder(spec, model.config, self._stops)
        self._student_texts: dict[str, TextEncoder] = {}
        check_numbers(spec.model, model)
        self._adapters = LoraLayers(model, adapters)
        self._prefill_pace, self._scoring_pace = Pace(), Pace()
        super().__init__(model, int(options["max_batch"]) * max(1, adapters), int(options["max_batch_tokens"]))

    async def generate(self, request: GenerateRequest) -> Generation:
        """Continue one conversation.

        Raises:
            RequestError: The prompt is too long, or the chat template rejects it.
            LoadError: The adapter cannot be loaded.
        """
        check_features(self.features, request)
        text = await self._text_of(request.adapter)
        prompt, max_tokens = text.encode_prompt(request.messages, request.sampling.max_tokens)
        sampling = replace(request.sampling, max_tokens=max_tokens)
        row = DecodeRequest(tuple(prompt), sampling, request.seed, request.logprobs, request.top_logprobs)
        # all rows of a batch finish together, so rows with similar length limits are batched
        group = (max_tokens.bit_length(), text.stops, None if self._adapters.mixes else request.adapter)
        sampled = await self._batcher.submit(
            self._generate,
            _GeneratedRow(row, request.adapter, text.stops),
            group,
            len(prompt) + max_tokens,
            len(prompt),
            self._prefill_pace,
        )
        return text.to_generation(request.id, len(prompt), sampled)

    async def logprobs(self, request: LogprobRequest) -> TokenLogprobs:
        """Score texts.

        Raises:
            RequestError: A text is too long.
            LoadError: The adapter cannot be loaded.
        """
        check_features(self.features, request)
        text = await self._text_of(request.adapter)
        scored_texts = text.scored_texts(request)
        rows = (  # only the first text gets ranks, not the text alone
            self._score_row(_ScoredRow(scored.ids, request.adapter, request.ranks and number == 0))
            for number, scored in enumerate(scored_texts)
        )
        scores = await asyncio.gather(*rows)
        logprobs, ranks = [each.logprobs for each in scores], scores[0].ranks if request.ranks else ()
        return to_token_logprobs(request.id, scored_texts, logprobs, text.counts(request), ranks)

    async def _score_row(self, row: _ScoredRow) -> RowScores:
        if not row.ids:
            return RowScores()
        count = len(row.ids)
        return await self._batcher.submit(self._score, row, row.adapter, count, count, self._scoring_pace)

    async def _text_of(self, adapter: str | None) -> TextEncoder:
        """Return the encoder of a student's text, once its adapter is loaded."""
        if adapter is None:
            return self._text
        if text := self._student_texts.get(adapter):
            return text
        return await self._batcher.submit(self._load_adapter, adapter, adapter, 0)

    def _load_adapter(self, folders: Sequence[str]) -> list[TextEncoder]:
        """Load the adapter of a student, which the items of the batch all name; return the encoder for each item."""
        folder = folders[0]
        try:
            self._adapters.load(folder)
            text = student_encoder(folder, self._spec, self._model.config, self._stops, self._text)
        except LoadError:
            raise
        except Exception as error:  # the student's own files, so no other request fails
            raise LoadError(folder, " ".join(f"{type(error).__name__}: {error}".split())) from error
        self._student_texts[folder] = text
        while len(self._student_texts) > self._adapters.limit:
            del self._student_texts[next(iter(self._student_texts))]
        return [text] * len(folders)

    def _move(self, device: torch.device) -> None:
        self._adapters.move(device)
        super()._move(device)

    def _drop(self) -> None:
        self._adapters.close()
        super()._drop()

    def _generate(self, rows: Sequence[_GeneratedRow]) -> list[SampledTokens]:
        """Return the sampled tokens of each row, in order. Rows of one adapter are neighbours in the batch."""
        order = sorted(range(len(rows)), key=lambda number: rows[number].adapter or "")
        sampled = dict(zip(order, self._generate_batch([rows[number] for number in order]), strict=True))
        return [sampled[number] for number in range(len(rows))]

    def _generate_batch(self, rows: Sequence[_GeneratedRow]) -> list[SampledTokens]:
        started, steps, width = time.monotonic(), 0, max(len(each.row.prompt) for each in rows)

        def on_step() -> None:
            nonlocal steps
            if not steps:  # the prompts have been read
                self._prefill_pace.record(width * len(rows), time.monotonic() - started)
            steps += 1
            self._count_step()

        def run() -> list[SampledTokens]:
            with self._adapters.selected([each.adapter for each in rows]):
                requests, stops = [each.row for each in rows], rows[0].stops
                return generate_rows(self._model, requests, stops, self._text.pad, on_step, self._adapters.keep)

        return run_on_device(run)

    def _score(self, rows: Sequence[_ScoredRow]) -> list[RowScores]:
        started, ranked = time.monotonic(), any(each.ranked for each in rows)

        def run() -> list[RowScores]:
            # the passes of a batch have other rows than the batch, so all of it has one adapter
            with self._adapters.selected([rows[0].adapter]):
                ids = [each.ids for each in rows]
                return score_tokens(self._model, ids, self._text.pad, self._count_step, ranked)

        scored = run_on_device(run)
        self._scoring_pace.record(len(rows) * max(len(each.ids) for each in rows), time.monotonic() - started)
        return scored
