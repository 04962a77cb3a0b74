"""The private vLLM interfaces that evolgrid uses. vLLM may change them, so no other module imports them.

If the installed vLLM lacks a name, a ClusterError reports the name and vLLM's version.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cluster.library_internals import find_internal


def start_engine(arguments: Any) -> Any:
    """Start vLLM's asynchronous engine in a separate process with these AsyncEngineArgs.

    As for vLLM's offline use, the defaults favour throughput: batches of 16384 tokens on large GPUs instead of 2048.
    """
    offline = find_internal("vllm.usage.usage_lib", "UsageContext.LLM_CLASS")
    start = find_internal("vllm.v1.engine.async_llm", "AsyncLLM.from_engine_args")
    return start(arguments, usage_context=offline)


def engine_dead_error() -> type[Exception]:
    """Return the class of the error that every call raises after vLLM's process has crashed."""
    return find_internal("vllm.v1.engine.exceptions", "EngineDeadError")


def validation_error() -> type[Exception]:
    """Return the class of the error that vLLM raises for an invalid request, such as one with an invalid schema."""
    return find_internal("vllm.exceptions", "VLLMValidationError")


def lora_rank_limits() -> tuple[int, ...]:
    """Return the valid values of `max_lora_rank`."""
    return find_internal("vllm.config.lora", "MaxLoRARanks.__args__")


def on_each_output(core: Any, call: Callable[[], None]) -> None:
    """Run `call` for every output that arrives from vLLM's process; `core` is an engine's `engine_core`.

    vLLM's statistics have the same count, but they require Prometheus, which adds overhead to every token.
    """
    receive = core.get_output_async

    async def received() -> Any:
        outputs = await receive()
        call()
        return outputs

    core.get_output_async = received
