"""vLLM's engine arguments, for GPUs of one or several nodes and for CPUs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actors.devices import device_name, dtype_name
from actors.engine import EngineSpec, OptionValue
from actors.engines.options import parse_options
from actors.engines.vllm_runtime.internals import lora_rank_limits
from actors.inference.model_loading import adapter_rank, linear_names, usable_length
from actors.model_folder.adapter import read_adapter_config, sharing_problem, weight_names

CPU_KV_CACHE_BYTES = 2**30  # bytes
# whitespace in JSON has no meaning, and weak models fill whole replies with it
COMPACT_JSON = {"backend": "xgrammar", "disable_any_whitespace": True}
SPECULATIVE = "speculative_config"
# vLLM finds the method itself if there is a draft model, which is a folder, or a hub name with its commit
SPECULATIVE_TYPES: dict[str, type] = {
    "method": str,
    "model": str,
    "revision": str,
    "num_speculative_tokens": int,
    "prompt_lookup_min": int,
    "prompt_lookup_max": int,
}
OPTIONS: dict[str, OptionValue] = {
    "tensor_parallel_size": 1,
    "pipeline_parallel_size": 1,
    "gpu_memory_utilization": 0.9,
    "max_num_seqs": 256,
    "max_num_batched_tokens": 0,  # 0: what vLLM chooses for the GPU
    "enable_prefix_caching": True,
    "lora": False,
    "max_loras": 4,
    "max_lora_rank": 16,
    "quantization": "",  # empty: as the checkpoint is
    "kv_cache_dtype": "auto",
    "enable_expert_parallel": False,
    SPECULATIVE: {},
    "batch_invariant": False,
}
# the first three change log-probabilities; tokens that a draft proposes are accepted by other random numbers, so
# sampled replies depend on the draft, though their distribution does not
IDENTITY_OPTIONS = ("quantization", "kv_cache_dtype", "batch_invariant", SPECULATIVE)


def vllm_options(spec: EngineSpec) -> dict[str, Any]:
    """Return the engine's options, with defaults for those that are not given.

    Raises:
        ValueError: An option is unknown or has the wrong type.
    """
    return parse_options(spec, **OPTIONS)


def speculative_error(settings: Mapping[str, Any]) -> str:
    """Return what is wrong with a `speculative_config`; empty if nothing is. An empty one means no speculation."""
    for name, value in settings.items():
        expected = SPECULATIVE_TYPES.get(name)
        if expected is None:
            return f"{SPECULATIVE} has no setting {name!r}; it has {', '.join(SPECULATIVE_TYPES)}"
        if type(value) is not expected or (expected is int and value < 1):
            return f"{name} must be {'a positive whole number' if expected is int else 'a text'}, not {value!r}"
    if settings and "num_speculative_tokens" not in settings:
        return "num_speculative_tokens is missing: the number of tokens that are proposed at once"
    if settings and not settings.keys() & {"model", "method"}:
        return "model (a draft model) or method (such as ngram) is missing"
    return ""


def lora_dtype_error(dtype: str, device: str) -> str:
    """Return why vLLM cannot apply LoRA adapters to a model of this dtype on a device ("cuda" or "cpu"), or ""."""
    if device == "cpu" or dtype != "float32":
        return ""
    return "vLLM applies LoRA adapters on GPUs to 16-bit weights only, not float32; set 'dtype' to auto or bfloat16"


def engine_arguments(spec: EngineSpec, config: Any, rank: int = 0) -> dict[str, Any]:
    """Return vLLM's engine arguments for a model with this config.

    `rank` is the rank of the LoRA adapter that applies to all requests, 0 for none.

    Raises:
        ValueError: An option or the dtype is unknown or cannot be used.
    """
    length = usable_length(spec.max_length, config)
    options = vllm_options(spec)
    lora = {name: options.pop(name) for name in ("lora", "max_loras", "max_lora_rank")}
    del options["batch_invariant"]  # a variable of the environment
    if problem := speculative_error(options[SPECULATIVE]):
        raise ValueError(f"engine 'vllm': {problem}")
    options |= {name: options[name] or None for name in ("quantization", "max_num_batched_tokens", SPECULATIVE)}
    device = device_name()
    arguments: dict[str, Any] = {
        "model": spec.model,
        "revision": spec.revision,
        "dtype": dtype_name(spec.dtype, device),
        "max_model_len": length + 1,  # so that a text of full length can be scored: vLLM always samples one token
        "trust_remote_code": False,
        "load_format": "safetensors",
        "generation_config": "vllm",  # the sampling defaults in the model's folder must not apply to a study
        "disable_log_stats": True,
        "enable_sleep_mode": device == "cuda",
        "structured_outputs_config": COMPACT_JSON,
        **options,
        **_executor(options["tensor_parallel_size"] * options["pipeline_parallel_size"]),
    }
    if lora["lora"] or rank:
        if problem := lora_dtype_error(arguments["dtype"], device):
            raise ValueError(f"engine 'vllm': {problem}")
        rank = max(rank, int(lora["max_lora_rank"]))
        arguments |= {"enable_lora": True, "max_loras": lora["max_loras"], "max_lora_rank": _rank_limit(rank)}
        if device == "cpu":  # vLLM crashes if it scores text next to requests with an adapter of the last layer
            arguments["lora_target_modules"] = linear_names(config)
    return arguments | _cpu_arguments(arguments) if device == "cpu" else arguments


def usable_rank(folder: str) -> int:
    """Return the rank of the adapter in this folder.

    Raises:
        ValueError: vLLM cannot both sample and score with this adapter.
    """
    rank, names = adapter_rank(folder), weight_names(folder)
    if changed := [name for name in names if "lm_head" in name or "embed" in name]:
        # prompt_logprobs would apply the wrong request's adapter in the last layer
        raise ValueError(f"adapter {folder} changes {changed[0]}; the vllm engine takes adapters of inner layers only")
    return rank


def check_rank(folder: str, max_rank: int) -> None:
    """Check that the adapter in this folder can be applied beside others.

    Raises:
        ValueError: It cannot, or its rank exceeds `max_rank`.
    """
    rank = adapter_rank(folder)
    if problem := sharing_problem(read_adapter_config(folder), weight_names(folder)):
        raise ValueError(problem)
    if rank > max_rank:
        raise ValueError(f"its rank {rank} exceeds the option max_lora_rank, {max_rank}")


def _executor(workers: int) -> dict[str, Any]:
    """Return vLLM's executor: Ray if the placement group (which vLLM looks up) spans several nodes, else processes."""
    if workers == 1:
        return {}
    import ray
    from ray.util import placement_group_table

    group = ray.util.get_current_placement_group() if ray.is_initialized() else None
    nodes = set(placement_group_table(group)["bundles_to_node_id"].values()) if group else set[str]()
    return {"distributed_executor_backend": "ray" if len(nodes) > 1 else "mp"}


def _rank_limit(rank: int) -> int:
    """Return vLLM's smallest rank limit that is at least `rank`.

    Raises:
        ValueError: There is no such limit.
    """
    known = lora_rank_limits()
    limits = [limit for limit in known if limit >= rank]
    if not limits:
        raise ValueError(f"vLLM takes LoRA adapters up to rank {max(known)}, not {rank}")
    return min(limits)


def _cpu_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments for vLLM's CPU build, which crashes if seeded sampling and chunked prefill are combined."""
    tokens = max(arguments["max_num_batched_tokens"] or 2048, arguments["max_model_len"], arguments["max_num_seqs"])
    fixed = {"enforce_eager": True, "enable_chunked_prefill": False, "kv_cache_memory_bytes": CPU_KV_CACHE_BYTES}
    return {**fixed, "max_num_batched_tokens": tokens}
