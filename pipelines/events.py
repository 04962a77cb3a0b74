"""What happens in a run as structured events: JSON lines for machines, with the ids of study, run, step and row."""

from __future__ import annotations

import json
import logging
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_LOGGER = logging.getLogger("evolgrid.events")
_LOGGER.setLevel(logging.INFO)
_LOGGER.propagate = False
_LOGGER.addHandler(logging.NullHandler())


def event(what: str, **fields: Any) -> None:
    """Tell whoever listens what has happened, and to what."""
    _LOGGER.info(what, extra={"fields": fields})


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """The fields of an event."""
    return record.__dict__["fields"]


@contextmanager
def heard(handler: logging.Handler) -> Generator[None]:
    """Let a handler hear all events within the block."""
    _LOGGER.addHandler(handler)
    try:
        yield
    finally:
        _LOGGER.removeHandler(handler)
        handler.close()


@contextmanager
def logged(path: Path | None, **common: str) -> Generator[None]:
    """Append all events to a file as JSON lines, with the fields that all of them share; nothing without a path."""
    if path is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(_JsonLines(common))
    with heard(handler):
        yield


class _JsonLines(logging.Formatter):
    def __init__(self, common: dict[str, str]) -> None:
        super().__init__()
        self._common = common

    def format(self, record: logging.LogRecord) -> str:
        now = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"time": now, "event": record.getMessage()} | self._common | fields_of(record)
        return json.dumps(line, ensure_ascii=False, default=str)
