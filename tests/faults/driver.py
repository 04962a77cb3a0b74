"""The real command line with engines in the same process and without Ray, so that tests can kill it often.

It writes no report, which would be slow. `FAULTS_LEASE` are the seconds between the lease's heartbeats and until it
expires. `FAULTS_SALT` changes the engine's answers. `FAULTS_CLOCK` makes the time of day jump by up to an hour at
every read.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import defaultdict
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import ray

from actors.engine import GenerateRequest, Generation, LogprobRequest, TokenLogprobs
from actors.engines.scripted_engine import ScriptedEngine
from cluster.connection.session import Session
from cluster.fault_points import hit
from cluster.resources.inventory import machine
from pipelines.cli import app as cli
from pipelines.execution import runner
from pipelines.execution.runtime import commit
from pipelines.execution.runtime.context import RunContext
from pipelines.execution.runtime.retry import root_cause
from pipelines.execution.stream import run as flow
from pipelines.execution.stream.commits.commit import finish_steps
from pipelines.execution.stream.totals import PartitionProgress
from pipelines.execution.stream.worker import StreamWorker
from pipelines.planning.plan import Plan
from pipelines.store import lease
from pipelines.study.inputs.models import engine_spec


class Here:
    """A pool and its client: a scripted engine in this process."""

    window = 256

    def __init__(self, context: RunContext, name: str) -> None:
        spec = engine_spec(context.study.models[name], context.folder)
        self.engine = ScriptedEngine(replace(spec, model=spec.model + os.environ.get("FAULTS_SALT", "")))
        self.room = asyncio.Semaphore(32)

    def client(self) -> Here:
        return self

    def queue(self, name: str) -> Here:
        return self

    async def generate(self, request: GenerateRequest) -> Generation:
        async with self.room:
            hit("request.asked", request)
            return await self.engine.generate(request)

    async def logprobs(self, request: LogprobRequest) -> TokenLogprobs:
        async with self.room:
            hit("request.asked", request)
            return await self.engine.logprobs(request)


class Nobody:
    def add(self, report: PartitionProgress) -> None:
        """Ignore progress."""


def stream(context: RunContext, plan: Plan) -> Plan:
    """Run the stream as `flow.run_stream` does, in this process."""
    steps = plan.pending_row_wise
    if not steps:
        return plan
    pools: Any = {name: Here(context, name) for name in {step.params.model for step in steps}}
    trees = flow.build_trees(context, steps, pools, {})
    try:
        asyncio.run(StreamWorker(context.store, trees, Nobody()).process_all())
    except Exception as error:
        raise root_cause(error) from None
    finish_steps(context, steps, defaultdict(float))
    return plan.with_finished(context.store.finished_keys())


@contextmanager
def nowhere(address: str | None, modules: Sequence[object] = ()) -> Generator[Session]:
    yield Session("nowhere", local=True)


class Jumping(datetime):
    """A clock that jumps."""

    @classmethod
    def now(cls, tz: Any = None) -> datetime:
        return datetime.now(UTC) + timedelta(hours=random.choice((-1, 0, 1)))


def main() -> None:
    runner.connect, runner.max_inventory = nowhere, machine
    ray.cluster_resources = ray.available_resources = dict
    flow.run_stream = stream
    runner.publish = lambda study, *_: f"none of {study.study}"
    if beats := os.environ.get("FAULTS_LEASE"):
        lease.HEARTBEAT_SECONDS, lease.LEASE_TIMEOUT = map(float, beats.split(","))
    if os.environ.get("FAULTS_CLOCK"):
        real = time.time
        time.time = lambda: real() + random.choice((-3600, 0, 3600))
        lease.datetime = commit.datetime = Jumping
    cli.main()


if __name__ == "__main__":
    main()
