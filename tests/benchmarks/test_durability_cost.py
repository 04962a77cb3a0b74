"""The benchmark compares runs that really differ in what is durable."""

from __future__ import annotations

import os
from typing import Any

from benchmarks.durability_cost import NonDurableClient, durability
from pipelines.execution.stream import operators
from pipelines.store.journaled_client import JournaledClient


def test_without_durability_the_stream_journals_and_flushes_nothing() -> None:
    client: Any = object()
    flush = os.fsync
    with durability(False):
        assert isinstance(operators.JournaledClient(client, "respond", "k"), NonDurableClient)
        assert os.fsync is not flush
    with durability(True):
        assert isinstance(operators.JournaledClient(client, "respond", "k"), JournaledClient)
        assert os.fsync is flush
