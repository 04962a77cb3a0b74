"""Time the browser of rows of `evolgrid ui` on a step with many rows.

Run it with `python -m benchmarks.ui_rows`. It writes a store of synthetic answers to a temporary folder, or to
`--store`, where a later run finds it again. Times are wall seconds of one request.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from starlette.datastructures import QueryParams

from benchmarks.support.lab import figure
from pipelines.rows.arrow import schema
from pipelines.rows.kinds import ROW_TYPES
from pipelines.store.manifest import Account, Manifest, Shard
from pipelines.store.store import Store
from pipelines.store.studies.graph_record import StepNode, StudyGraph, save_graph
from pipelines.ui.reading.parameters import Parameters
from pipelines.ui.reading.reader import StoreReader
from pipelines.ui.resources.rows import count_rows, page_of_rows

KEY, KIND, STUDY = "0" * 32, "respond", "rows"
ROWS_PER_SHARD = 8192
WORDS = np.array("what which how write list name the a of in river city number word tree stone light paper".split())
GOAL_SECONDS = 2.0
REQUESTS = {
    "first page": "",
    "a text": "q=river+stone+light+tree",
    "a text that is nowhere": "q=nowhere",
    "two columns": "f=tokens_out:ge:190&f=finish_reason:is:length",
    "sorted": "sort=tokens_out&down=1",
}


def write_store(store: Store, rows: int) -> None:
    """Write a study with one finished step of `rows` answers."""
    random = np.random.default_rng(0)
    folder = store.folder(KIND, KEY)
    store.fs.makedirs(folder, exist_ok=True)
    shards: list[Shard] = []
    for number, first in enumerate(range(0, rows, ROWS_PER_SHARD)):
        table = answers(random, first, min(ROWS_PER_SHARD, rows - first))
        shards.append(store.write_table(folder, f"rows-{number:05d}.parquet", table))
    node = StepNode(key=KEY, kind=KIND, label="respond synthetic")
    save_graph(store, StudyGraph(study=STUDY, steps=(node,)))
    store.commit(
        Manifest(
            key=KEY,
            kind=KIND,
            label=node.label,
            payload={},
            inputs=(),
            account=Account(rows_in=rows, rows_out=rows),
            shards=tuple(shards),
            seconds=1.0,
            finished="2026-01-01T00:00:00+00:00",
            versions={},
        )
    )


def answers(random: np.random.Generator, first: int, count: int) -> pa.Table:
    """Return `count` synthetic answers."""
    texts = [[" ".join(row) for row in random.choice(WORDS, (count, 8))] for _ in range(2)]
    lengths = random.integers(1, 200, (2, count))
    ids = [f"{number:032x}" for number in random.integers(0, 2**62, count)]
    columns: dict[str, Any] = {
        "id": ids,
        "parent_id": ids[::-1],
        "seed_id": ids,
        "index": np.arange(first, first + count),
        "instruction": texts[0],
        "response": texts[1],
        "finish_reason": np.where(lengths[0] > 195, "length", "stop"),
        "tokens_in": lengths[0],
        "tokens_out": lengths[1],
        "refused": np.zeros(count, bool),
    }
    empty: dict[str, Any] = {"history": [[]] * count}
    fields = schema(ROW_TYPES[KIND])
    known = {field.name: columns.get(field.name, empty.get(field.name, [""] * count)) for field in fields}
    return pa.table(known, schema=fields)


def seconds_of(work: Callable[[], object]) -> tuple[float, float]:
    """Return the wall time of `work`, and the CPU time of this process for it."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    """Print the time of the page of rows, and that of their number, for each request."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=10_000_000, help="number of rows (default: ten million)")
    parser.add_argument("--store", type=Path, help="folder of the store, which is kept")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        store = Store(str(arguments.store or temporary))
        if KEY not in store.finished_keys():
            print(f"writing {arguments.rows:,} rows: {seconds_of(lambda: write_store(store, arguments.rows))[0]:.0f} s")
        reader = StoreReader(store)
        slowest = 0.0
        print(f"{'request':<24} {'page s':>8} {'CPU s':>8} {'count s':>8} {'CPU s':>8}")
        for name, query in REQUESTS.items():
            parameters = Parameters(QueryParams(f"kind={KIND}&{query}"))
            state = reader.study(STUDY)
            page = seconds_of(lambda state=state, given=parameters: page_of_rows(reader, state, given))
            count = seconds_of(lambda state=state, given=parameters: count_rows(reader, state, given))
            slowest = max(slowest, page[0])
            print(f"{name:<24} " + " ".join(f"{seconds:>8.2f}" for seconds in (*page, *count)), flush=True)
    figure("ui_rows.seconds", slowest, f"<={GOAL_SECONDS}")


if __name__ == "__main__":
    main()
