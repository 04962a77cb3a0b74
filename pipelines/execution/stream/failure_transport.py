"""Returns the exception that stops a stream from worker to driver as a value: Ray Data keeps only its text."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import AsyncIterator
from typing import Any

import numpy as np

from actors.serving.replica import to_picklable
from pipelines.execution.runtime.retry import root_cause
from pipelines.execution.stream.worker import StreamWorker


class ReportsFailure(StreamWorker):
    """A stream worker that reports its failure, if any, beside its finished partitions."""

    async def __call__(self, batch: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """Do the same as `StreamWorker`, and add the column `failure`: empty bytes, or a pickled exception."""
        try:
            async for done in super().__call__(batch):
                yield done | {"failure": np.array([b""] * len(done["unit"]), dtype=object)}
        except Exception as error:  # raised again in the driver
            cause = root_cause(error)
            cause.add_note("".join(traceback.format_exception(cause)))  # a pickle has no traceback
            pickled = pickle.dumps(to_picklable(cause))
            yield {"unit": np.asarray(batch["unit"][:1]), "failure": np.array([pickled], dtype=object)}


def raise_transported(block: dict[str, Any]) -> None:
    """Raise the exception that a worker reported, if any."""
    for pickled in block["failure"]:
        if pickled:
            raise pickle.loads(pickled)
