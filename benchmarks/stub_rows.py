"""Measure rows per second with an endpoint of 50 ms latency: `python -m benchmarks.stub_rows`.

With 50 requests in flight, the ideal is 1,000 rows/s. In evolgrid, rows pass through Ray Data, stream worker, router,
HTTP engine and Parquet. The comparison is a bare aiohttp loop that stores nothing. Time is measured from the first
request to the last commit. Starting Ray and loading are excluded.
"""

from __future__ import annotations

import asyncio
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager

import aiohttp

from benchmarks.support.lab import figure, lab, study
from cluster.connection.session import connect
from pipelines.study.spec.study import Study

ROWS = 16000
RUNS = 3
IN_FLIGHT = 50
LATENCY = 0.05
GOAL = 1.0  # of the rate of the bare loop in the same run


@contextmanager
def endpoint() -> Generator[str]:
    """Start a stub endpoint in a separate process and yield its URL."""
    command = [sys.executable, "-m", "benchmarks.support.stub_endpoint", "--latency", str(LATENCY)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = re.findall(r"\d+", process.stdout.readline())[-1]
        try:
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.kill()


def make_study(url: str) -> Study:
    """Return a study with two requests per seed: one evolution and one answer."""
    runtime = {"url": url, "in_flight": IN_FLIGHT}
    return study(
        {"stub": {"engine": "http", "cpus": 0.5, "runtime": runtime, "in_flight": 4 * IN_FLIGHT}},
        ROWS // 2,
        evolution={"evolvers": ["stub"], "rounds": 1, "breadth": False},
        responses={"teachers": ["stub"], "answer_seeds": False},
    )


def ours(url: str) -> float:
    """Return the rows per second of the runner. Each row of each step is one request."""
    with lab(make_study(url)) as here:
        first = here.first_request()
        here.stream()
        ended = time.monotonic()
        done = sum(here.context.row_counts.of(step) for step in here.steps)
    return done / (ended - first[0])


async def bare(url: str) -> float:
    """Return the rows per second of an aiohttp loop."""
    gate = asyncio.Semaphore(IN_FLIGHT)

    async def ask(session: aiohttp.ClientSession, number: int) -> None:
        body = {"model": "stub", "messages": [{"role": "user", "content": f"Instruction {number}."}], "max_tokens": 64}
        async with gate, session.post(f"{url}/chat/completions", json=body) as answer:
            await answer.json()

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=IN_FLIGHT)) as session:
        started = time.monotonic()
        await asyncio.gather(*(ask(session, number) for number in range(ROWS)))
        return ROWS / (time.monotonic() - started)


def main() -> None:
    """Print a table and the figures."""
    with endpoint() as url, connect(None):
        runs = [(ours(url), asyncio.run(bare(url))) for _ in range(RUNS)]
    print(f"{'run':>4}{'evolgrid':>10}{'aiohttp':>10}   rows/s")
    for number, (mine, peer) in enumerate(runs, start=1):
        print(f"{number:>4}{mine:>10.0f}{peer:>10.0f}")
    print(f"{ROWS} requests of {LATENCY * 1000:.0f} ms, {IN_FLIGHT} in flight; ideal {IN_FLIGHT / LATENCY:.0f}")
    figure("stub_rows.of_aiohttp", statistics.median(mine / peer for mine, peer in runs), f">={GOAL}")


if __name__ == "__main__":
    main()
