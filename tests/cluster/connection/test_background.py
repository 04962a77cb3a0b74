"""Work in the background: it is stopped before the process disconnects from Ray, which would end the process."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

from cluster.connection.background import BackgroundWork, stop_background_work

ROOT = Path(__file__).parents[3]
CALLS_RAY = """\
import asyncio, ray
from cluster.connection.background import BackgroundWork
from cluster.connection.session import connect

async def call_often():
    while True:
        ray.get(ray.put(1))
        await asyncio.sleep(0)

with connect(None, cpus=1):
    BackgroundWork(call_often, "calls")
print("the command goes on")
"""


def threads_called(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == name]


def test_work_is_cancelled_and_its_thread_has_ended_when_stop_returns() -> None:
    ended = list[str]()

    async def work(name: str) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append(name)

    one = BackgroundWork(lambda: work("one"), "background")
    BackgroundWork(lambda: work("two"), "background")
    one.stop()
    assert ended == ["one"] and len(threads_called("background")) == 1
    stop_background_work()
    assert ended == ["one", "two"] and not threads_called("background")


def test_work_that_has_ended_can_be_stopped() -> None:
    async def work() -> None:
        pass

    done = BackgroundWork(work, "short")
    while threads_called("short"):
        pass
    done.stop()
    stop_background_work()


def test_a_command_goes_on_after_work_that_calls_ray_all_the_time() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CALLS_RAY], cwd=ROOT, capture_output=True, text=True, timeout=200, check=False
    )
    assert (done.returncode, done.stdout) == (0, "the command goes on\n"), done.stderr
