"""What ends the stream comes back from its workers as a value: of an exception Ray Data keeps only the text."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import AsyncIterator
from typing import Any

import numpy as np

from actors.serving.replica import portable
from pipelines.execution.runtime.retry import innermost
from pipelines.execution.stream.worker import Walker


class Reporting(Walker):
    """A walker that reports its failure, if any, beside the units that it has finished."""

    async def __call__(self, batch: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """As `Walker`, with the column `failure`: empty bytes, or a pickled exception."""
        try:
            async for done in super().__call__(batch):
                yield done | {"failure": np.array([b""] * len(done["unit"]), dtype=object)}
        except Exception as error:  # raised again in the driver
            cause = innermost(error)
            cause.add_note("".join(traceback.format_exception(cause)))  # which no pickle carries
            told = pickle.dumps(portable(cause))
            yield {"unit": np.asarray(batch["unit"][:1]), "failure": np.array([told], dtype=object)}


def raise_failure(block: dict[str, Any]) -> None:
    """Raise what a worker reported, if it is a failure."""
    for told in block["failure"]:
        if told:
            raise pickle.loads(told)
