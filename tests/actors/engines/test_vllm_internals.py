"""Each name of vLLM's that is not public exists in the installed version and is what we use it for.

test_vllm_engine.py starts an engine with them.
"""

from __future__ import annotations

import asyncio
import importlib.util
import inspect

import pytest

from actors.engines import vllm_internals
from cluster.library_internals import find_internal

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed: `make vllm`"),
]


def test_the_engine_is_started_from_its_arguments() -> None:
    start = find_internal("vllm.v1.engine.async_llm", "AsyncLLM.from_engine_args")
    assert next(iter(inspect.signature(start).parameters)) == "engine_args"


def test_a_dead_engine_and_a_refused_request_are_different_errors() -> None:
    dead, refused = vllm_internals.engine_dead_error(), vllm_internals.validation_error()
    assert issubclass(dead, Exception) and issubclass(refused, Exception)
    assert not issubclass(dead, refused) and not issubclass(refused, dead)


def test_ranks_of_adapters_have_limits() -> None:
    limits = vllm_internals.lora_rank_limits()
    assert {8, 16, 64} <= {*limits} and all(isinstance(limit, int) for limit in limits)


def test_outputs_come_by_the_method_that_is_counted() -> None:
    method = find_internal("vllm.v1.engine.core_client", "EngineCoreClient.get_output_async")
    assert inspect.iscoroutinefunction(method) and [*inspect.signature(method).parameters] == ["self"]


def test_each_output_is_counted_once_and_passed_on() -> None:
    class Core:
        async def get_output_async(self) -> str:
            return "output"

    core, counted = Core(), list[int]()
    vllm_internals.on_each_output(core, lambda: counted.append(1))
    assert [asyncio.run(core.get_output_async()) for _ in range(3)] == ["output"] * 3
    assert len(counted) == 3
