"""Items of benchmarks that come from the Hugging Face hub, written down as the local files are."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from pipelines.errors import InputError
from pipelines.study.spec.benchmark_kinds import HubDataset
from pipelines.study.spec.benchmarks import Benchmark


def download(bench: Benchmark) -> Path:
    """A JSON Lines file of the benchmark's items at its `revision`; InputError where the hub has no simple set."""
    if bench.traits.hub is None:
        raise InputError(f"benchmark {bench.name} has no data", remedy="Name its 'file'.")
    return _download_file(bench.kind, bench.traits.hub, bench.revision)


@lru_cache(maxsize=16)
def _download_file(kind: str, dataset: HubDataset, revision: str | None) -> Path:
    """The file, made once for all models that are asked."""
    import datasets

    name = dataset.name
    try:
        found: Any = datasets.load_dataset(name, dataset.configuration, split=dataset.split, revision=revision)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{name} can not be had: {reason}", remedy="Name a local 'file'.") from None
    path = Path(mkdtemp()) / f"{kind}.jsonl"
    path.write_text("".join(f"{json.dumps(dict(row))}\n" for row in found))
    return path
