"""Measure what the durability of unfinished work costs in throughput: `python -m benchmarks.durability_cost`.

The runner runs one step on a scripted engine that answers 1,000 requests per second. Normal runs alternate with runs
without durability, in which no answer is journaled and nothing is flushed to the disk. The rates are rows per second
from the first request to the commit. The figure compares the medians of both kinds of runs, all in one Ray session.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from unittest import mock

from actors.engine import Client
from benchmarks.support.lab import figure, lab, study
from cluster.connection.session import connect
from pipelines.execution.stream import operators
from pipelines.store.journaled_client import JournaledClient
from pipelines.study.spec.study import Study

ROWS, RATE, LATENCY = 8_000, 1_000, 0.25
RUNS = 5
GOAL = 0.03


@dataclass(frozen=True)
class NonDurableClient:
    """A client that journals no answers. Unpickling it in a worker also disables flushes to the disk there."""

    client: Client

    def __reduce__(self) -> tuple[object, ...]:
        return _unpickle_client, (self.client,)


def _unpickle_client(client: Client) -> Client:
    os.fsync = _skip_flush
    return client


def _skip_flush(handle: object) -> None:
    """Do nothing. Replaces `os.fsync`."""


@contextmanager
def durability(enabled: bool) -> Generator[None]:
    """Within the block, streams run with or without the durability of unfinished work."""
    with ExitStack() as patches:
        if not enabled:
            patches.enter_context(
                mock.patch.object(
                    operators, JournaledClient.__name__, lambda client, kind, key: NonDurableClient(client)
                )
            )
            patches.enter_context(mock.patch.object(os, "fsync", _skip_flush))
        yield


def make_study(number: int, rows: int) -> Study:
    """Return a study whose engine answers `rows` instructions at the given rate. Each number is another study."""
    runtime = {"latency": LATENCY, "slots": int(RATE * LATENCY)}
    engine = {"engine": "scripted", "cpus": 0.1, "runtime": runtime, "in_flight": 3 * runtime["slots"]}
    roles = {"evolution": {"evolvers": ["model"], "rounds": 1}, "responses": {"teachers": ["model"]}}
    return study({"model": engine}, rows, seed=number, **roles)


def rows_per_second(number: int, rows: int, kept: bool) -> float:
    """Run a study and return its rows per second. `kept` turns durability on."""
    with durability(kept), lab(make_study(number, rows)) as here:
        (step,) = (step for step in here.steps if step.kind == "respond" and step.inputs[0].kind == "seeds")
        first = here.first_request()
        here.stream(step)
        return rows / (time.monotonic() - first[0])


def main() -> None:
    """Print a table and the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--runs", type=int, default=RUNS)
    asked = parser.parse_args()
    rates: dict[bool, list[float]] = {True: [], False: []}
    with connect(None):
        rows_per_second(0, asked.rows // 8, kept=True)
        for number in range(1, asked.runs + 1):
            for kept in (True, False) if number % 2 else (False, True):
                rates[kept].append(rows_per_second(number, asked.rows, kept))
    print(f"{'run':>4}{'durable':>10}{'not':>10}   rows/s")
    for number, (with_it, without) in enumerate(zip(rates[True], rates[False], strict=True), start=1):
        print(f"{number:>4}{with_it:>10.0f}{without:>10.0f}")
    with_it, without = statistics.median(rates[True]), statistics.median(rates[False])
    print(f"{asked.rows:,} rows in each run; medians {with_it:.0f} and {without:.0f} rows/s")
    figure("durability_cost.fraction", 1 - with_it / without, f"<={GOAL}", digits=3)


if __name__ == "__main__":
    main()
