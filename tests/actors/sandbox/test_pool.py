"""Sandboxes as Ray actors."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
from collections.abc import Callable

import psutil
import pytest

from actors.sandbox.equality import matches
from actors.sandbox.pool import SandboxPool
from actors.sandbox.protocol.job import Check, Limits, SandboxJob
from actors.sandbox.sandbox import Sandbox
from cluster.connection.session import Session
from tests.support.timing import until

TRIPLE = "def triple(x): return 3 * x"


Zygotes = Callable[[], list[int]]


def test_jobs_of_many_callers_are_done_and_nothing_is_left(
    ray_local: Session, sandbox: Sandbox, zygotes: Zygotes
) -> None:
    before = zygotes()
    with SandboxPool(size=2) as pool:
        client = pickle.loads(pickle.dumps(pool.client()))

        async def work() -> None:
            jobs = [client.run(SandboxJob(str(number), TRIPLE, "triple", (number,))) for number in range(20)]
            for number, outcome in enumerate(await asyncio.gather(*jobs)):
                assert (outcome.id, outcome.level) == (str(number), "L2")
                assert matches(outcome, 3 * number)
            cases = await client.run_cases(SandboxJob("cases", TRIPLE, "triple"), [(1,), ("a",)])
            assert [outcome.value for outcome in cases] == [3, "aaa"]
            assert (await client.check(Check("check", TRIPLE, "assert triple(2) == 6", ("triple",)))).value is True

        asyncio.run(work())
    until(lambda: not set(zygotes()) - set(before))


@pytest.mark.case(24)
@pytest.mark.parametrize("victim", ["zygote", "actor"])
def test_job_is_rerun_when_its_sandbox_is_killed(
    ray_local: Session, sandbox: Sandbox, zygotes: Zygotes, victim: str
) -> None:
    before = zygotes()
    slow = SandboxJob("slow", "import time\ndef f(): time.sleep(1); return 'done'", "f", limits=Limits(wall_seconds=60))
    with SandboxPool(size=1) as pool:
        idle = zygotes()

        async def work() -> None:
            running = asyncio.create_task(pool.client().run(slow))
            await asyncio.to_thread(until, lambda: bool(set(zygotes()) - set(idle)))  # the job's own process
            new = min(pid for pid in idle if pid not in before)
            os.kill(new if victim == "zygote" else psutil.Process(new).ppid(), signal.SIGKILL)
            assert matches(await running, "done")

        asyncio.run(work())
