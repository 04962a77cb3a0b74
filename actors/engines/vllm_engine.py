"""The vLLM engine: continuous batching in vLLM's own process, fed with token ids."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import sys
from collections.abc import Generator
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
from actors.engines.unsupported import UnsupportedEngine
from actors.engines.vllm_arguments import engine_arguments, usable_rank, vllm_options
from actors.engines.vllm_internals import engine_dead_error, on_each_output, start_engine, validation_error
from actors.inference.model_loading import adapter_base, is_adapter, load_defaults, load_tokenizer, usable_length
from actors.inference.scored_texts import to_token_logprobs
from actors.inference.text_codec import TextEncoder, truncate_at_stop


class VllmEngine(UnsupportedEngine):
    """A causal LM under vLLM, or a LoRA adapter on its base; needs the extra `vllm`, or `make vllm`.

    Options as vLLM's engine arguments of the same name: `tensor_parallel_size`, `pipeline_parallel_size`,
    `gpu_memory_utilization`, `max_num_seqs`, `enable_prefix_caching`, `max_loras`, `max_lora_rank`; with `lora`,
    requests may name adapters, which see the engine's own tokenizer and chat template.

    If vLLM's process dies, so does this one: its engine can not be revived, and Ray restarts an actor whose process
    has died.
    """

    def __init__(self, spec: EngineSpec) -> None:
        from transformers import AutoConfig

        base_spec = replace(spec, model=adapter_base(spec.model)) if is_adapter(spec.model) else spec
        config = AutoConfig.from_pretrained(base_spec.model, revision=base_spec.revision, trust_remote_code=False)
        length = usable_length(spec, config)
        arguments = engine_arguments(base_spec, config, 0 if base_spec is spec else usable_rank(spec.model))
        from vllm import AsyncEngineArgs

        self.features = _features(lora=vllm_options(spec)["lora"], sleep=arguments["enable_sleep_mode"])
        self._text = TextEncoder(load_tokenizer(spec), length, load_defaults(base_spec))
        self._engine = start_engine(AsyncEngineArgs(**arguments))
        self._ids = itertools.count()
        self._adapters: dict[str, int] = {}  # vLLM's numbers of the folders
        self._loaded: set[str] = set()
        self._max_rank = int(arguments.get("max_lora_rank", 0))
        self._own_adapter = None if base_spec is spec else spec.model
        self._iterations = 0
        on_each_output(self._engine.engine_core, self._count_iteration)

    async def generate(self, request: GenerateRequest) -> Generation:
        """Continue one conversation.

        RequestError if the prompt does not fit, if the chat template refuses it, or for a schema or an adapter that
        can not be used.
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
            logprobs=0 if request.logprobs else None,  # 0 further tokens beside the drawn one
            **_structured_outputs(request.schema),
        )
        sampled = output.outputs[0]
        logprobs = _chosen_logprobs(sampled.token_ids, sampled.logprobs) if request.logprobs else None
        return self._text.to_generation(
            request.id, len(prompt), truncate_at_stop(sampled.token_ids, self._text.stops, logprobs)
        )

    async def logprobs(self, request: LogprobRequest) -> TokenLogprobs:
        """Score texts. RequestError if one does not fit."""
        scored_texts = self._text.scored_texts(request)
        return to_token_logprobs(
            request.id,
            scored_texts,
            await asyncio.gather(*(self._token_logprobs(scored.ids) for scored in scored_texts)),
        )

    def progress(self) -> int:
        """Iterations of vLLM's engine from which something came."""
        return self._iterations

    async def sleep(self) -> None:
        """Move the weights to host memory and drop the KV cache; on CUDA only."""
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
        """Log-probabilities of a text's tokens; vLLM computes them anew also where its prefix cache holds the text."""
        if len(ids) < 2:
            return (None,) * len(ids)
        # vLLM always generates: one token is drawn for nothing
        output = await self._run(list(ids), self._own_adapter, temperature=0.0, max_tokens=1, prompt_logprobs=0)
        return (None, *_chosen_logprobs(ids[1:], output.prompt_logprobs[1:]))

    async def _run(self, prompt: list[int], adapter: str | None, **sampling: Any) -> Any:
        """vLLM's final output for one prompt."""
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
            except validation_error() as error:  # vLLM reads a schema only where it is used
                if "structured_outputs" not in sampling:
                    raise
                raise RequestError("schema", f"vLLM can not follow the schema: {error}") from error
        return outputs[-1]

    async def _load_adapter(self, folder: str) -> Any:
        """vLLM's reference to an adapter that is loaded: the engine would die of a broken one in a batch."""
        from vllm.lora.request import LoRARequest

        lora = LoRARequest(folder, self._adapters.setdefault(folder, len(self._adapters) + 1), folder)
        if folder not in self._loaded:
            try:
                if (rank := usable_rank(folder)) > self._max_rank:
                    raise ValueError(f"its rank {rank} is over the option max_lora_rank, {self._max_rank}")
                await self._engine.add_lora(lora)
            except engine_dead_error():
                raise
            except Exception as error:  # vLLM gives what its process raised as a plain Exception
                raise RequestError("adapter", f"the adapter {folder} can not be used: {error}") from error
            self._loaded.add(folder)
        return lora

    def _count_iteration(self) -> None:
        self._iterations += 1


def _features(lora: bool, sleep: bool) -> frozenset[Feature]:
    features: set[Feature] = {"prompt_logprobs", "reply_logprobs", "schema"}
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
    """The log-probabilities of these tokens out of what vLLM gives for each position."""
    return [entry[token].logprob for token, entry in zip(tokens, entries, strict=True)]


@contextlib.contextmanager
def _exit_when_engine_dies() -> Generator[None]:
    try:
        yield
    except engine_dead_error() as error:
        print(f"vLLM's process is dead, leaving: {error}", file=sys.stderr, flush=True)
        os._exit(1)
