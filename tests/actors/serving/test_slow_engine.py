"""A slow engine is not a hanging one: slowed down fifty times, a model answers everything without a restart."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from actors.engine import EngineSpec, GenerateRequest, LogprobRequest, Sampling
from actors.serving.client import EngineClient
from tests.actors.serving.pools import pool_of

pytestmark = [pytest.mark.usefixtures("ray_local"), pytest.mark.timeout(600)]

LIMIT = 2.0  # seconds, of the watchdog: much less than the work takes
DUTY_CYCLE = """
import os, signal, sys, time
pid, parent = int(sys.argv[1]), os.getppid()
while os.getppid() == parent:
    os.kill(pid, signal.SIGSTOP)
    print(flush=True)
    time.sleep(0.98)
    os.kill(pid, signal.SIGCONT)
    time.sleep(0.02)
"""


@contextmanager
def slowed_down(pid: int) -> Generator[None]:
    """Let a process run for 20 ms of each second, until the block or this process ends."""
    with subprocess.Popen([sys.executable, "-c", DUTY_CYCLE, str(pid)], stdout=subprocess.PIPE) as helper:
        assert helper.stdout
        helper.stdout.readline()  # the process is stopped for the first time
        try:
            yield
        finally:
            helper.kill()
            with suppress(ProcessLookupError):  # the watchdog has killed it
                os.kill(pid, signal.SIGCONT)


async def work(client: EngineClient) -> list[object]:
    """Generate and score some texts at the same time."""
    sampling = Sampling(max_tokens=32)
    asked = [
        client.generate(GenerateRequest(f"g{i}", (("user", "river stone light " * (i % 4 + 1)),), sampling))
        for i in range(16)
    ]
    scored = [
        client.logprobs(LogprobRequest(f"s{i}", "water garden", " music number" * (i % 4 + 1))) for i in range(16)
    ]
    return [*await asyncio.gather(*asked), *await asyncio.gather(*scored)]


@pytest.mark.case(6)
def test_an_engine_that_is_fifty_times_slower_is_not_restarted(model_folder: Path) -> None:
    spec = EngineSpec("transformers", str(model_folder), max_length=256)
    with pool_of(spec, stall_timeout=LIMIT, heartbeat_timeout=LIMIT) as pool:
        pool.wait_until_ready()
        expected = asyncio.run(work(pool.client()))
        (pid,) = pool.stats().pids
        started = time.monotonic()
        with slowed_down(pid):
            while time.monotonic() - started < 6 * LIMIT:
                assert asyncio.run(work(pool.client())) == expected
                assert pool.stats().totals.crashes == 0, pool.stats().events
        assert pool.stats().totals.crashes == 0, pool.stats().events
