"""Downloads the items of benchmarks from the Hugging Face hub, as JSON Lines files."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from pipelines.errors import InputError
from pipelines.study.spec.evaluation.benchmark_kinds import HubDataset
from pipelines.study.spec.evaluation.benchmarks import Benchmark


def download(bench: Benchmark) -> Path:
    """Download the items of a benchmark at its `revision`, and return the path of a JSON Lines file.

    Raises:
        InputError: The benchmark has no data set on the hub, or the data set cannot be downloaded.
    """
    if bench.traits.hub is None:
        raise InputError(f"benchmark {bench.name} has no data set on the hub", remedy="Set 'file' to a local file.")
    return _download_file(bench.kind, bench.traits.hub, bench.revision)


@lru_cache(maxsize=16)
def _download_file(kind: str, dataset: HubDataset, revision: str | None) -> Path:
    """Download a data set. The cache avoids downloading it again for each model that is evaluated."""
    import datasets

    name = dataset.name
    try:
        found: Any = datasets.load_dataset(name, dataset.configuration, split=dataset.split, revision=revision)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"cannot download {name}: {reason}", remedy="Set 'file' to a local file.") from None
    path = Path(mkdtemp()) / f"{kind}.jsonl"
    path.write_text("".join(f"{json.dumps(dict(row))}\n" for row in found))
    return path
