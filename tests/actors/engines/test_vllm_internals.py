"""Each name of vLLM's that is not public exists in the installed version and is what we use it for.

test_vllm_engine.py starts an engine with them.
"""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

import bundled
from actors.engines.vllm_runtime import internals
from actors.engines.vllm_runtime.stderr import NO_CAUSE
from cluster.library_internals import find_internal

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed: `make vllm`"),
]


def test_the_engine_is_started_from_its_arguments() -> None:
    start = find_internal("vllm.v1.engine.async_llm", "AsyncLLM.from_engine_args")
    assert next(iter(inspect.signature(start).parameters)) == "engine_args"
    assert {"engine_args", "usage_context"} <= inspect.signature(start).parameters.keys()


def test_the_engines_use_lets_large_gpus_take_large_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[dict[str, Any]] = []
    monkeypatch.setattr("vllm.v1.engine.async_llm.AsyncLLM.from_engine_args", lambda _, **named: started.append(named))
    internals.start_engine(object())
    h200: dict[str, Callable[[], object]] = {
        "get_device_total_memory": lambda: 140 << 30,
        "get_device_name": lambda: "NVIDIA H200",
        "is_tpu": lambda: False,
        "is_cpu": lambda: False,
    }
    monkeypatch.setattr("vllm.engine.arg_utils.current_platform", SimpleNamespace(**h200))
    engine_args = find_internal("vllm.engine.arg_utils", "AsyncEngineArgs")(
        model=str(bundled.path("tiny-1m-chat")), max_num_seqs=256, enable_chunked_prefill=True
    )
    model, parallel = (
        SimpleNamespace(max_model_len=1025, is_multimodal_model=False),
        SimpleNamespace(use_batched_dp_moe=False),
    )
    engine_args._set_default_max_num_seqs_and_batched_tokens_args(started[0]["usage_context"], model, parallel)
    assert engine_args.max_num_batched_tokens == 16384


def test_a_failed_start_is_told_in_the_words_that_are_replaced_by_the_cause() -> None:
    assert NO_CAUSE in inspect.getsource(find_internal("vllm.v1.engine.utils", "wait_for_engine_startup"))


def test_a_dead_engine_and_a_refused_request_are_different_errors() -> None:
    dead, refused = internals.engine_dead_error(), internals.validation_error()
    assert issubclass(dead, Exception) and issubclass(refused, Exception)
    assert not issubclass(dead, refused) and not issubclass(refused, dead)


def test_ranks_of_adapters_have_limits() -> None:
    limits = internals.lora_rank_limits()
    assert {8, 16, 64} <= {*limits} and all(isinstance(limit, int) for limit in limits)


def test_outputs_come_by_the_method_that_is_counted() -> None:
    method = find_internal("vllm.v1.engine.core_client", "EngineCoreClient.get_output_async")
    assert inspect.iscoroutinefunction(method) and [*inspect.signature(method).parameters] == ["self"]


def test_each_output_is_counted_once_and_passed_on() -> None:
    class Core:
        async def get_output_async(self) -> str:
            return "output"

    core, counted = Core(), list[int]()
    internals.on_each_output(core, lambda: counted.append(1))
    assert [asyncio.run(core.get_output_async()) for _ in range(3)] == ["output"] * 3
    assert len(counted) == 3
