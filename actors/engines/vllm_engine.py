"""The vLLM engine: continuous batching in a separate vLLM process, which receives token ids."""

# pyright: reportMissingImports=false
# vLLM is optional: where it is not installed, the checker has nothing to look at.
from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import sys
from collections.abc import Generator
from dataclasses import replace
from typing import Any

from actors.devices import device_name, missing_compiler
from actors.engine import (
    EngineSpec,
    Feature,
    GenerateRequest,
    Generation,
    LoadError,
    LogprobRequest,
    RequestError,
    TokenLogprobs,
    check_features,
)
from actors.engines.unsupported import UnsupportedEngine
from actors.engines.vllm.environment import set_environment
from actors.engines.vllm.internals import engine_dead_error, on_each_output, start_engine, validation_error
from actors.engines.vllm.stderr import explained_failure
from actors.engines.vllm_arguments import engine_arguments, usable_rank, vllm_options
from actors.inference.chat_template import template_ids
from actors.inference.model_loading import (
    base_model,
    check_weights,
    is_adapter,
    load_tokenizer,
    usable_length,
)
from actors.inference.scored_texts import to_token_logprobs
from actors.inference.text_codec import TextEncoder, truncate_at_stop
from actors.model_folder.config import load_decoder_config
from actors.model_folder.generation_settings import folder_stop_ids
from actors.model_folder.vocabulary import check_vocabulary, pad_id
from cluster.resources.process_activity import busiest_child_seconds


class VllmEngine(UnsupportedEngine):
    """A causal LM on vLLM, or a LoRA adapter on its base model. Requires the extra `vllm`, or `make vllm`.

    Options are vLLM's engine arguments of the same name, such as `tensor_parallel_size` and `max_num_batched_tokens`.
    With `lora`, requests may name adapters, which use the tokenizer and chat template of the engine's model. With
    `batch_invariant`, answers on GPUs do not depend on the other requests.

    If vLLM's process crashes, this process exits, because the engine cannot be restarted within it. Ray then restarts
    the actor.
    """

    def __init__(self, spec: EngineSpec) -> None:
        base_spec = replace(spec, model=base_model(spec.model)) if is_adapter(spec.model) else spec
        config = load_decoder_config(base_spec.model, base_spec.revision)
        tokenizer = load_tokenizer(spec)
        check_vocabulary(spec.model, tokenizer, config, template_ids(tokenizer))
        length = usable_length(spec.max_length, config)
        options = vllm_options(spec)
        device = device_name()
        if device == "cuda" and (problem := missing_compiler()):
            raise LoadError(spec.model, problem)  # the compiler's own error would not say what is missing
        set_environment(device, options["batch_invariant"])
        arguments = engine_arguments(base_spec, config, 0 if base_spec is spec else usable_rank(spec.model))
        check_weights(spec, config)  # vLLM reports these with the traceback of another process, or not at all
        from vllm import AsyncEngineArgs

        self.features = _features(lora=options["lora"], sleep=arguments["enable_sleep_mode"])
        stops = folder_stop_ids(base_spec.model, base_spec.revision, config)
        self._text = TextEncoder(tokenizer, length, stops, pad_id(tokenizer, config))
        with explained_failure(spec.model):
            self._engine = start_engine(AsyncEngineArgs(**arguments))
        self._ids = itertools.count()
        self._adapters: dict[str, int] = {}  # vLLM's integer ids, by folder
        self._loaded: set[str] = set()
        self._max_rank = int(arguments.get("max_lora_rank", 0))
        self._own_adapter = None if base_spec is spec else spec.model
        self._iterations = 0
        on_each_output(self._engine.engine_core, self._count_iteration)

    async def generate(self, request: GenerateRequest) -> Generation:
        """Continue one conversation.

        Raises:
            RequestError: The prompt is too long, the chat template rejects it, or vLLM cannot use the schema or the
                adapter.
        """
        check_features(self.features, request)
        prompt, max_tokens = self._text.encode_prompt(request.messages, request.sampling.max_tokens)
        output = await self._run(
            prompt,
            request.adapter or self._own_adapter,
            temperature=request.sampling.temperature,
            top_p=request.sampling.top_p,
            seed=request.seed % 2**63,
            max_tokens=max_tokens,
            stop_token_ids=sorted(self._text.stops),
            logprobs=request.top_logprobs if request.logprobs or request.top_logprobs else None,
            **_structured_outputs(request.schema),
        )
        sampled = output.outputs[0]
        logprobs = _chosen_logprobs(sampled.token_ids, sampled.logprobs) if request.logprobs else None
        alternatives = _alternatives(sampled.logprobs, request.top_logprobs) if request.top_logprobs else ()
        return self._text.to_generation(
            request.id, len(prompt), truncate_at_stop(sampled.token_ids, self._text.stops, logprobs, alternatives)
        )

    async def logprobs(self, request: LogprobRequest) -> TokenLogprobs:
        """Score texts.

        Raises:
            RequestError: A text is too long.
        """
        scored_texts = self._text.scored_texts(request)
        return to_token_logprobs(
            request.id,
            scored_texts,
            await asyncio.gather(*(self._token_logprobs(scored.ids) for scored in scored_texts)),
        )

    def progress(self) -> int:
        """Return the number of outputs received from vLLM's process."""
        return self._iterations

    def cpu_seconds(self) -> float:
        """Return the CPU time of the busiest thread of vLLM's processes: a long prefill has no output for minutes."""
        return busiest_child_seconds()

    async def sleep(self) -> None:
        """Move the weights to host memory and discard the KV cache. CUDA only."""
        with _exit_when_engine_dies():
            await self._engine.sleep(level=1)

    async def wake(self) -> None:
        """Move the weights back to the device."""
        with _exit_when_engine_dies():
            await self._engine.wake_up()

    def close(self) -> None:
        """Stop vLLM's process and free its memory."""
        self._engine.shutdown()

    async def _token_logprobs(self, ids: tuple[int, ...]) -> tuple[float | None, ...]:
        """Return the log-probabilities of a text's tokens. vLLM computes them even for texts in its prefix cache."""
        if len(ids) < 2:
            return (None,) * len(ids)
        # vLLM always samples at least one token, which is discarded
        output = await self._run(list(ids), self._own_adapter, temperature=0.0, max_tokens=1, prompt_logprobs=0)
        return (None, *_chosen_logprobs(ids[1:], output.prompt_logprobs[1:]))

    async def _run(self, prompt: list[int], adapter: str | None, **sampling: Any) -> Any:
        """Return vLLM's final output for one prompt."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        params = SamplingParams(**sampling, detokenize=False, output_kind=RequestOutputKind.FINAL_ONLY)
        with _exit_when_engine_dies():
            lora = await self._load_adapter(adapter) if adapter else None
            stream = self._engine.generate(
                {"prompt_token_ids": prompt}, params, str(next(self._ids)), lora_request=lora
            )
            try:
                outputs = [output async for output in stream]
            except validation_error() as error:  # vLLM parses a schema only when a request uses it
                if "structured_outputs" not in sampling:
                    raise
                raise RequestError("schema", f"vLLM does not support the schema: {error}") from error
        return outputs[-1]

    async def _load_adapter(self, folder: str) -> Any:
        """Load an adapter and return vLLM's reference to it. A corrupt adapter in a batch would crash the engine."""
        from vllm.lora.request import LoRARequest

        lora = LoRARequest(folder, self._adapters.setdefault(folder, len(self._adapters) + 1), folder)
        if folder not in self._loaded:
            try:
                if (rank := usable_rank(folder)) > self._max_rank:
                    raise ValueError(f"its rank {rank} exceeds the option max_lora_rank, {self._max_rank}")
                await self._engine.add_lora(lora)
            except engine_dead_error():
                raise
            except Exception as error:  # vLLM re-raises errors of its process as plain Exception
                raise RequestError("adapter", f"cannot use the adapter {folder}: {error}") from error
            self._loaded.add(folder)
        return lora

    def _count_iteration(self) -> None:
        self._iterations += 1


def _features(lora: bool, sleep: bool) -> frozenset[Feature]:
    features: set[Feature] = {"prompt_logprobs", "reply_logprobs", "top_logprobs", "schema"}
    if lora:
        features.add("adapter")
    if sleep:
        features.add("sleep")
    return frozenset(features)


def _structured_outputs(schema: str | None) -> dict[str, Any]:
    if schema is None:
        return {}
    from vllm.sampling_params import StructuredOutputsParams

    return {"structured_outputs": StructuredOutputsParams(json=schema)}


def _chosen_logprobs(tokens: Any, entries: Any) -> list[float]:
    """Return the log-probabilities of these tokens from vLLM's entries, one mapping per position."""
    return [entry[token].logprob for token, entry in zip(tokens, entries, strict=True)]


def _alternatives(entries: Any, count: int) -> list[list[tuple[int, float]]]:
    """Return the `count` most likely tokens of vLLM's entries, which may have the sampled token besides them."""
    return [
        sorted(((token, found.logprob) for token, found in entry.items()), key=lambda each: -each[1])[:count]
        for entry in entries
    ]


@contextlib.contextmanager
def _exit_when_engine_dies() -> Generator[None]:
    try:
        yield
    except engine_dead_error() as error:
        print(f"vLLM's process has crashed; exiting: {error}", file=sys.stderr, flush=True)
        os._exit(1)
