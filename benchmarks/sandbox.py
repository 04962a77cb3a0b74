"""Measure the latency and throughput of runs in the sandbox: `python -m benchmarks.sandbox`."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable

from actors.sandbox.protocol.job import Check, Outcome, SandboxJob
from actors.sandbox.sandbox import Sandbox

RUNS = 300
GOAL_MS = 15.0
GOAL_PER_SECOND = 100.0
SOURCE = """
import re
def evaluate(response):
    words = re.findall(r"[a-z']+", response.lower())
    return bool(words) and all(len(word) <= 10 for word in words)
"""
TEXT = "Short words only, none with more than ten letters. " * 20
JOB = SandboxJob("job", SOURCE, "evaluate", (TEXT,))
CHECK = Check("check", SOURCE, f"assert evaluate({TEXT!r}) == True\nassert evaluate('') == False", ("evaluate",))


def milliseconds(act: Callable[[], Outcome]) -> list[float]:
    """Return the sorted times of sequential runs in milliseconds.

    Raises:
        RuntimeError: A run did not return True.
    """
    times: list[float] = []
    for _ in range(RUNS):
        started = time.perf_counter()
        outcome = act()
        times.append(1000 * (time.perf_counter() - started))
        if outcome.value is not True:
            raise RuntimeError(f"a correct solution failed: {outcome}")
    return sorted(times)


def per_second(sandbox: Sandbox, act: Callable[[Sandbox], Callable[[int], Outcome]]) -> float:
    """Return the runs per second with all zygotes in use.

    Raises:
        RuntimeError: A run did not return True.
    """
    started = time.perf_counter()
    if any(outcome.value is not True for outcome in sandbox.map(act(sandbox), range(2 * RUNS))):
        raise RuntimeError("a correct solution failed")
    return 2 * RUNS / (time.perf_counter() - started)


def main() -> None:
    """Print a table and the figures."""
    print(
        f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}\n{'one after the other':<24} {'p50 ms':>8} {'p95 ms':>8}"
    )
    with Sandbox() as one:
        runs = milliseconds(lambda: one.run(JOB))
        checks = milliseconds(lambda: one.check(CHECK))
        started = time.perf_counter()
        one.run_cases(JOB, [(TEXT,)] * 100)
        case = 10 * (time.perf_counter() - started)
    for name, times in (("function call", runs), ("solution and its tests", checks)):
        print(f"{name:<24} {statistics.median(times):>8.1f} {times[int(0.95 * RUNS)]:>8.1f}")
    print(f"{'one of 100 cases':<24} {case:>8.2f}\n\n{'zygotes':<8} {'calls/s':>8} {'checks/s':>9}")
    best = 0.0
    for workers in (1, 2, 4):
        with Sandbox(workers=workers) as many:
            calls = per_second(many, lambda box: lambda _: box.run(JOB))
            pairs = per_second(many, lambda box: lambda _: box.check(CHECK))
        print(f"{workers:<8} {calls:>8.0f} {pairs:>9.0f}")
        best = max(best, calls)
    print(f"sandbox.p50_ms value={statistics.median(runs):.1f} goal<={GOAL_MS:g}")
    print(f"sandbox.runs_per_second value={best:.0f} goal>={GOAL_PER_SECOND:g}")


if __name__ == "__main__":
    main()
