"""The vLLM engine: continuous batching in a separate vLLM process, which receives token ids."""

# pyright: reportMissingImports=false
# vLLM is optional: where it is not installed, the checker has nothing to look at.
from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import sys
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

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
from actors.engines.vllm_arguments import check_rank, engine_arguments, usable_rank, vllm_options
from actors.engines.vllm_runtime.environment import set_environment
from actors.engines.vllm_runtime.internals import engine_dead_error, on_each_output, start_engine, validation_error
from actors.engines.vllm_runtime.stderr import explained_failure
from actors.inference.decoding.sampled_tokens import truncate_at_stop
from actors.inference.model_loading import base_model, check_weights, is_adapter
from actors.inference.scored_texts import to_token_logprobs
from actors.inference.student_texts import student_encoder, text_encoder
from actors.inference.text_codec import TextEncoder
from actors.model_folder.adapter import adapter_folder
from actors.model_folder.config import load_decoder_config
from actors.model_folder.generation_settings import folder_stop_ids
from cluster.errors import error_line
from cluster.resources.process_activity import busiest_child_seconds


class _Student(NamedTuple):
    """How the text of a student is encoded, and vLLM's reference to its adapter."""

    text: TextEncoder
    lora: Any


class VllmEngine(UnsupportedEngine):
    """A causal LM on vLLM, or a LoRA adapter on its base model. Requires the extra `vllm`, or `make vllm`.

    Options are vLLM's engine arguments of the same name, such as `tensor_parallel_size` and `max_num_batched_tokens`.
    With `lora`, requests may name students of the model, whose adapters are loaded when a request first names them.
    With `batch_invariant`, answers on GPUs do not depend on the other requests.

    If vLLM's process crashes, this process exits, because the engine cannot be restarted within it. Ray then restarts
    the actor.
    """

    def __init__(self, spec: EngineSpec) -> None:
        base_spec = replace(spec, model=base_model(spec.model)) if is_adapter(spec.model) else spec
        config = load_decoder_config(base_spec.model, base_spec.revision)
        self._stops = folder_stop_ids(base_spec.model, base_spec.revision, config)
        self._spec, self._config, self._text = spec, config, text_encoder(spec, config, self._stops)
        options = vllm_options(spec)
        device = device_name()
        if device == "cuda" and (problem := missing_compiler()):
            raise LoadError(spec.model, problem)  # the compiler's own error would not say what is missing
        set_environment(device, options["batch_invariant"])
        arguments = engine_arguments(base_spec, config, 0 if base_spec is spec else usable_rank(spec.model))
        check_weights(spec, config)  # vLLM reports these with the traceback of another process, or not at all
        from vllm import AsyncEngineArgs

        self.features = _features(lora=options["lora"], sleep=arguments["enable_sleep_mode"])
        with explained_failure(spec.model):
            self._engine = start_engine(AsyncEngineArgs(**arguments))
        self._ids = itertools.count()
        self._students: dict[str, asyncio.Task[_Student]] = {}  # by folder, the least recently used one first
        self._adapter_ids = itertools.count(1)
        self._max_adapters = max(1, int(options["max_loras"]))
        self._max_rank = int(arguments.get("max_lora_rank", 0))
        self._own_adapter = None if base_spec is spec else spec.model
        self._iterations = 0
        on_each_output(self._engine.engine_core, self._count_iteration)

    async def generate(self, request: GenerateRequest) -> Generation:
        """Continue one conversation.

        Raises:
            RequestError: The prompt is too long, the chat template rejects it, or vLLM cannot use the schema.
            LoadError: The adapter cannot be loaded.
        """
        check_features(self.features, request)
        text, lora = await self._student(request.adapter)
        prompt, max_tokens = text.encode_prompt(request.messages, request.sampling.max_tokens)
        output = await self._run(
            prompt,
            lora,
            temperature=request.sampling.temperature,
            top_p=request.sampling.top_p,
            seed=request.seed % 2**63,
            max_tokens=max_tokens,
            stop_token_ids=sorted(text.stops),
            logprobs=request.top_logprobs if request.logprobs or request.top_logprobs else None,
            **_structured_outputs(request.schema),
        )
        sampled = output.outputs[0]
        logprobs = _chosen_logprobs(sampled.token_ids, sampled.logprobs) if request.logprobs else None
        alternatives = _alternatives(sampled.logprobs, request.top_logprobs) if request.top_logprobs else ()
        return text.to_generation(
            request.id, len(prompt), truncate_at_stop(sampled.token_ids, text.stops, logprobs, alternatives)
        )

    async def logprobs(self, request: LogprobRequest) -> TokenLogprobs:
        """Score texts.

        Raises:
            RequestError: A text is too long.
            LoadError: The adapter cannot be loaded.
        """
        check_features(self.features, request)
        text, lora = await self._student(request.adapter)
        scored_texts = text.scored_texts(request)
        rows = await asyncio.gather(*(self._prompt_entries(scored.ids, lora) for scored in scored_texts))
        logprobs = [_per_token(row, lambda entry: entry.logprob) for row in rows]
        ranks = _per_token(rows[0], lambda entry: entry.rank) if request.ranks else ()
        return to_token_logprobs(request.id, scored_texts, logprobs, text.counts(request), ranks)

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

    async def _prompt_entries(self, ids: tuple[int, ...], lora: Any) -> list[Any]:
        """Return vLLM's entries for a text's tokens, with log-probability and rank; None for the first token.

        vLLM computes them even for texts in its prefix cache.
        """
        if len(ids) < 2:
            return [None] * len(ids)
        # vLLM always samples at least one token, which is discarded
        output = await self._run(list(ids), lora, temperature=0.0, max_tokens=1, prompt_logprobs=0)
        return [None, *(entry[token] for token, entry in zip(ids[1:], output.prompt_logprobs[1:], strict=True))]

    async def _run(self, prompt: list[int], lora: Any, **sampling: Any) -> Any:
        """Return vLLM's final output for one prompt. `lora` is its reference to an adapter, or None."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        params = SamplingParams(**sampling, detokenize=False, output_kind=RequestOutputKind.FINAL_ONLY)
        with _exit_when_engine_dies():
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

    async def _student(self, folder: str | None) -> _Student:
        """Return the encoder and the adapter of a student; without one, those of the engine's own model."""
        if folder is None and self._own_adapter is None:
            return _Student(self._text, None)
        name = folder or ""
        task = self._students.pop(name, None)
        if task is None or task.cancelled() or (task.done() and task.exception()):
            task = asyncio.create_task(self._load_student(folder))
        self._students[name] = task  # the last one is the most recently used one
        while len(self._students) > self._max_adapters:
            del self._students[next(iter(self._students))]  # vLLM drops its weights by itself
        return await asyncio.shield(task)

    async def _load_student(self, folder: str | None) -> _Student:
        """Load an adapter, the engine's own if `folder` is None. A corrupt one in a batch would crash the engine."""
        from vllm.lora.request import LoRARequest

        source = folder or self._own_adapter
        assert source is not None
        files, number = str(adapter_folder(source)), next(self._adapter_ids)
        lora = LoRARequest(f"{source}#{number}", number, files)
        with _exit_when_engine_dies():
            try:
                check_rank(files, self._max_rank)
                text = self._text if folder is None else await asyncio.to_thread(self._student_text, folder)
                await self._engine.add_lora(lora)
            except (LoadError, engine_dead_error()):
                raise
            except Exception as error:  # vLLM re-raises errors of its process as plain Exception
                raise LoadError(source, f"its adapter cannot be used: {error_line(error)}") from error
        return _Student(text, lora)

    def _student_text(self, folder: str) -> TextEncoder:
        return student_encoder(folder, self._spec, self._config, self._stops, self._text)

    def _count_iteration(self) -> None:
        self._iterations += 1


def _features(lora: bool, sleep: bool) -> frozenset[Feature]:
    features: set[Feature] = {"prompt_logprobs", "prompt_ranks", "reply_logprobs", "top_logprobs", "schema"}
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


def _per_token(entries: Sequence[Any], read: Callable[[Any], Any]) -> list[Any]:
    return [None if entry is None else read(entry) for entry in entries]


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
