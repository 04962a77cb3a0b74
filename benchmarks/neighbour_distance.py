"""Compare the time of the exact nearest-neighbour search with faiss's exact index, and measure its memory.

Both use the same cores and the same unit vectors: random ones, clusters of close ones, and duplicates. faiss searches
for two neighbours, because the first one is the row itself (as published: 2412.11231, minimum neighbor distance).
"""

from __future__ import annotations

import argparse
import os
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress

import faiss
import numpy as np
import psutil
import ray

from benchmarks.support.lab import figure
from cluster.connection.session import connect
from pipelines.operators.similarity.nearest_neighbours import Neighbours, find_neighbours
from pipelines.operators.similarity.ray_map import ray_map
from pipelines.operators.similarity.vectors import PANEL_SIZE, Floats, Vectors

ROWS, DIMENSIONS = 100_000, 384
CLUSTERED, EQUAL = 0.3, 0.05
SPREAD = 0.15
GOAL_SECONDS, GOAL_MEMORY_GIB = 1.0, 2.0
AGREEMENT = 1e-5
GIB = 2**30


def vectors(rows: int) -> Vectors:
    """Return unit vectors [rows, 384] in random order."""
    random = np.random.default_rng(0)
    near, equal = int(rows * CLUSTERED), int(rows * EQUAL)
    made = random.standard_normal((rows, DIMENSIONS), dtype=np.float32)
    centres = near + equal + random.integers(0, rows - near - equal, near) // 100
    made[:near] = made[centres] + SPREAD * made[:near]
    made[near : near + equal] = made[random.integers(near + equal, rows, equal)]
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    return made[random.permutation(rows)]


def ours(rows: Vectors) -> tuple[Neighbours, float, float]:
    """Return the neighbours that evolgrid finds, its seconds, and its peak memory above the input's in GiB."""
    find_neighbours([ray.put(part) for part in np.array_split(rows[:2000], 4)], ray_map)  # starts the workers
    with peak_memory() as peak:
        started = time.monotonic()
        found = find_neighbours(
            [ray.put(rows[low : low + PANEL_SIZE]) for low in range(0, len(rows), PANEL_SIZE)], ray_map
        )
        seconds = time.monotonic() - started
    return found, seconds, (max(peak) - peak[0]) / GIB


@contextmanager
def peak_memory() -> Generator[list[int]]:
    """Sample the memory of this process and all of Ray's processes within the block, in bytes, twice per second."""
    seen, ended = [memory()], threading.Event()

    def watch() -> None:
        while not ended.wait(0.5):
            seen.append(memory())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


def memory() -> int:
    """Return the memory of this process and its descendants in bytes. Shared memory is counted once."""
    total = 0
    for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
        with suppress(psutil.Error):
            total += process.memory_full_info().pss
    return total


def theirs(rows: Vectors) -> tuple[Floats, float]:
    """Return the distances that faiss finds, and its seconds."""
    started = time.monotonic()
    index = faiss.IndexFlatL2(DIMENSIONS)
    index.add(rows)
    distances, places = index.search(rows, 2)
    seconds = time.monotonic() - started
    first_is_itself = places[:, 0] == np.arange(len(rows))
    return np.where(first_is_itself, distances[:, 1], distances[:, 0]), seconds


def main() -> None:
    """Print a table and the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS, help="number of vectors")
    # by default, Ray's workers have a lower priority, and would get less of the cores than faiss beside other processes
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 Ray's own spelling
    rows, cores = vectors(parser.parse_args().rows), len(os.sched_getaffinity(0))
    with connect(None, cpus=cores):
        found, seconds, gib = ours(rows)
    faiss.omp_set_num_threads(cores)
    distances, faiss_seconds = theirs(rows)
    apart = float(np.abs(found.distance - distances).max())
    print(f"{'':<12}{'seconds':>9}\n{'ours':<12}{seconds:>9.1f}\n{'faiss':<12}{faiss_seconds:>9.1f}")
    print(f"{len(rows)} x {DIMENSIONS}, {cores} cores; {(found.distance == 0).sum()} rows have a copy,", end=" ")
    print(f"{(found.repeats > 0).sum()} a near neighbour; the two searches differ by at most {apart:.1e}")
    if apart > AGREEMENT:
        raise SystemExit(f"the searches differ by {apart:.1e}, which is more than {AGREEMENT:g}")
    figure("neighbour_distance.ratio", seconds / faiss_seconds, f"<={GOAL_SECONDS}")
    figure("neighbour_distance.gib", gib, f"<={GOAL_MEMORY_GIB}")


if __name__ == "__main__":
    main()
