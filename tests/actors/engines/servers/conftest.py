"""An odd server for each test, and clients that do not wait long before they ask again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from actors.engines.http import exchange
from tests.actors.engines.servers.odd_server import OddServer, odd_server


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "INITIAL_DELAY", 0.01)


@pytest.fixture
def server() -> Iterator[OddServer]:
    with odd_server() as started:
        yield started
