"""Stages for the tests of `benchmarks.gpu_check`, one for each way in which a stage can end."""

from __future__ import annotations

import os
import signal
import sys
import time

from benchmarks.gpu_check.report import Recorder


def passes(record: Recorder) -> None:
    record.check("two is even", 2 % 2 == 0, number=2)
    record.judge("quick", False, on_gpu=False, seconds=1.5)


def fails(record: Recorder) -> None:
    record.check("three is even", 3 % 2 == 0, number=3)
    record.check("two is even", True)


def raises(record: Recorder) -> None:
    record.check("begun", True)
    raise ValueError("no such\nkernel")


def crashes(record: Recorder) -> None:
    print("out of luck", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


def hangs(record: Recorder) -> None:
    record.check("begun", True, pid=os.getpid())
    time.sleep(600)
