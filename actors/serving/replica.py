"""The actor that hosts one engine. It returns failures of a request or of a model as values and does not crash."""

from __future__ import annotations

import asyncio
import os
import pickle
import traceback
from collections.abc import AsyncGenerator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import ray

from actors.compute_threads import in_new_thread
from actors.devices import unusable_gpus
from actors.engine import (
    PLUGIN_ERROR,
    Answer,
    ClassifyRequest,
    Engine,
    EngineCode,
    EngineLost,
    EngineSpec,
    Feature,
    GenerateRequest,
    LoadError,
    LogprobRequest,
    Request,
    RequestError,
)
from actors.engines.registry import create, spec_info
from actors.inference.checkpoint_download import DownloadedStudents, downloaded_checkpoint
from actors.matrix_products import strict_mode
from actors.serving.queueing.queues import CoalescingQueue
from actors.serving.reservation import wait_until_bundles_are_free
from cluster.errors import add_context, error_line
from cluster.fault_points import hit
from cluster.resources.gpu_memory import sole_use, wait_until_free
from cluster.resources.process_activity import Activity, process_activity

BATCHING_WINDOW_SECONDS = 0.005
MIN_FREE_FRACTION = 0.9  # of a GPU's memory, for engines that do not say how much they use
FREE_TIMEOUT = 60.0


class Replica:
    """Hosts one engine. Only its router calls it: it submits numbered requests and collects answers as they arrive."""

    def __init__(self, threads: int, gpus: tuple[str, ...] | None, gpu_fraction: float) -> None:
        """Create a replica without a model.

        Args:
            threads: CPU threads of the engine.
            gpus: Ids of the devices to use, or None if Ray assigns devices on several nodes.
            gpu_fraction: This replica's fraction of each device.
        """
        os.environ["OMP_NUM_THREADS"] = str(threads)  # before torch is imported, which reads it once
        for name, value in strict_mode().items():
            os.environ.setdefault(name, value)
        if gpus is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
        self._gpus, self._gpu_fraction, self._spans_nodes = gpus or (), gpu_fraction, gpus is None
        self._shared_gpus = self._gpus if gpu_fraction < 1 else ()
        self._files = ExitStack()  # the files that the loaded engine reads
        self._students = DownloadedStudents(self._spans_nodes)
        self._engine: Engine | None = None
        self._model = ""
        self._code: EngineCode | None = None
        self._needed_memory = 0.0  # fraction of each device
        self._answers: CoalescingQueue[tuple[int, Answer]] = CoalescingQueue(BATCHING_WINDOW_SECONDS)
        self._tasks: set[asyncio.Task[None]] = set()
        self._retry_count = 0

    async def identify(self) -> tuple[int, str]:
        """Return the process id, and Ray's id of the node."""
        return os.getpid(), ray.get_runtime_context().get_node_id()

    async def activity(self) -> Activity:
        """Return what this process and its children have done so far."""
        return await asyncio.to_thread(process_activity)

    async def load(self, spec: EngineSpec) -> frozenset[Feature] | LoadError:
        """Unload the current model and load another one once the devices are free.

        Returns:
            The features of the engine, or why the model cannot be loaded.
        """
        self._model, self._code = spec.model, spec.code
        try:
            await self._unload()
            await asyncio.to_thread(self._check_devices, spec)
            self._needed_memory = self._memory_fraction(spec)
            local_spec = await asyncio.to_thread(self._local_checkpoint, spec)
            async with self._sole_use():
                await asyncio.to_thread(self._wait_for_devices)
                self._engine = await in_new_thread(create, local_spec)
        except Exception as error:
            await self._unload()
            if isinstance(error, LoadError):
                return error
            told = spec.code.describe(error) if spec.code else None
            failure = LoadError(spec.model, told or error_line(error))
            failure.add_note("".join(traceback.format_exception(error)))
            return failure
        return self._engine.features

    async def submit(self, requests: Sequence[tuple[int, Request]]) -> None:
        """Start to process numbered requests."""
        for number, request in requests:
            task = asyncio.create_task(self._answer(number, request))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def collect(self) -> tuple[list[tuple[int, Answer]], int, list[str]]:
        """Wait for answers; return them with their requests' numbers, and the engine's retries since the last call.

        The third value is what users should know about the engine's server, since the last call.
        """
        answers, before = await self._answers.take(), self._retry_count
        self._retry_count = getattr(self._engine, "retry_count", 0)  # only engines that call an endpoint have it
        notices: list[str] = getattr(self._engine, "take_notices", list[str])()
        return answers, max(0, self._retry_count - before), notices

    async def heartbeat(self) -> tuple[int, float]:
        """Return the engine's progress, a number that changes while the engine works, and its CPU seconds."""
        engine = self._engine
        return (engine.progress(), engine.cpu_seconds()) if engine else (0, 0.0)

    async def sleep(self) -> None:
        """Offload the model to host memory. No request may be in flight."""
        if self._engine:
            async with self._sole_use():
                await self._engine.sleep()

    async def wake(self) -> None:
        """Load the offloaded model back, once the devices are free."""
        async with self._sole_use():
            await asyncio.to_thread(self._wait_for_devices)
            if self._engine:
                await self._engine.wake()

    async def close(self) -> None:
        """Drop the requests in flight and unload the model."""
        for task in self._tasks:
            task.cancel()
        await self._unload()

    async def _answer(self, number: int, request: Request) -> None:
        assert self._engine is not None
        hit("request.asked", request)
        answer: Answer
        try:
            answer = await _ask(self._engine, await self._with_local_adapter(request))
        except Exception as error:  # the client raises it
            if not isinstance(error, RequestError | LoadError | EngineLost):
                if told := self._code.describe(error) if self._code else None:
                    error = RequestError(PLUGIN_ERROR, told)
                else:
                    add_context(error, f"model {self._model}, request {request.id}")
            answer = to_picklable(error)
        self._answers.put([(number, answer)])

    async def _unload(self) -> None:
        if self._engine:
            engine, self._engine = self._engine, None
            async with self._sole_use():
                await asyncio.to_thread(engine.close)
        await asyncio.to_thread(self._files.close)
        await asyncio.to_thread(self._students.close)

    async def _with_local_adapter(self, request: Request) -> Request:
        if isinstance(request, ClassifyRequest) or request.adapter is None or "://" not in request.adapter:
            return request
        return replace(request, adapter=await asyncio.to_thread(self._students.folder, request.adapter))

    def _local_checkpoint(self, spec: EngineSpec) -> EngineSpec:
        if not spec_info(spec).has_weights:
            return spec
        return self._files.enter_context(downloaded_checkpoint(spec, self._spans_nodes))

    def _check_devices(self, spec: EngineSpec) -> None:
        if (self._gpus or self._spans_nodes) and spec_info(spec).has_weights and (problem := unusable_gpus()):
            raise LoadError(spec.model, problem)

    def _memory_fraction(self, spec: EngineSpec) -> float:
        """Return the fraction of each device that an engine needs: its option, or this replica's share."""
        told: Any = dict(spec.options).get("gpu_memory_utilization")
        return MIN_FREE_FRACTION * min(self._gpu_fraction, 1) if told is None else float(told)

    def _wait_for_devices(self) -> None:
        group = ray.util.get_current_placement_group() if self._spans_nodes and self._engine is None else None
        if group is not None:  # no workers of an engine hold its GPUs
            wait_until_bundles_are_free(group, self._needed_memory, FREE_TIMEOUT)
        wait_until_free(self._gpus, self._needed_memory, FREE_TIMEOUT)

    @asynccontextmanager
    async def _sole_use(self) -> AsyncGenerator[None]:
        """Wait until no other replica that shares a GPU with this one loads, unloads, offloads or resumes a model."""
        with ExitStack() as held:
            await asyncio.to_thread(held.enter_context, sole_use(self._shared_gpus))
            yield


async def _ask(engine: Engine, request: Request) -> Answer:
    match request:
        case GenerateRequest():
            return await engine.generate(request)
        case LogprobRequest():
            return await engine.logprobs(request)
        case ClassifyRequest():
            return await engine.classify(request)


def to_picklable(error: Exception) -> Exception:
    """Return the error itself if it can be pickled, else a RuntimeError with its text and its notes."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        stand_in = RuntimeError(f"{type(error).__name__}: {error}")
        for note in getattr(error, "__notes__", []):
            stand_in.add_note(note)
        return stand_in
    return error
