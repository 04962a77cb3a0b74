"""What ends the stream comes back from its workers as a value: of an exception Ray Data keeps only the text."""

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
    """A walker that reports its failure, if any, beside the units that it has finished."""

    async def __call__(self, batch: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """As `StreamWorker`, with the column `failure`: empty bytes, or a pickled exception."""
        try:
            async for done in super().__call__(batch):
                yield done | {"failure": np.array([b""] * len(done["unit"]), dtype=object)}
        except Exception as error:  # raised again in the driver
            cause = root_cause(error)
            cause.add_note("".join(traceback.format_exception(cause)))  # which no pickle carries
            pickled = pickle.dumps(to_picklable(cause))
            yield {"unit": np.asarray(batch["unit"][:1]), "failure": np.array([pickled], dtype=object)}


def raise_transported(block: dict[str, Any]) -> None:
    """Raise what a worker reported, if it is a failure."""
    for pickled in block["failure"]:
        if pickled:
            raise pickle.loads(pickled)
