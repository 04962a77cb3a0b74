"""What the vLLM engine uses of vLLM beyond its public interface. vLLM may change any of it, so nothing else imports it.

A name that the installed vLLM does not have is a ClusterError that says which one, and the version.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cluster.library_internals import find_internal


def start_engine(arguments: Any) -> Any:
    """Start vLLM's asynchronous engine in a process of its own with these AsyncEngineArgs."""
    return find_internal("vllm.v1.engine.async_llm", "AsyncLLM.from_engine_args")(arguments)


def engine_dead_error() -> type[Exception]:
    """Return the class of what every call raises once vLLM's process is dead."""
    return find_internal("vllm.v1.engine.exceptions", "EngineDeadError")


def validation_error() -> type[Exception]:
    """Return the class of what vLLM raises for a request that it cannot serve, such as a broken schema."""
    return find_internal("vllm.exceptions", "VLLMValidationError")


def lora_rank_limits() -> tuple[int, ...]:
    """Return the values that `max_lora_rank` may have."""
    return find_internal("vllm.config.lora", "MaxLoRARanks.__args__")


def on_each_output(core: Any, call: Callable[[], None]) -> None:
    """Have `call` run whenever something comes from vLLM's process; `core` is an engine's `engine_core`.

    vLLM's own statistics would count the same, but bring Prometheus along and its cost for every token.
    """
    receive = core.get_output_async

    async def received() -> Any:
        outputs = await receive()
        call()
        return outputs

    core.get_output_async = received
