"""Structured events of a run: JSON lines with the ids of study, run, step and row."""

from __future__ import annotations

import json
import logging
import posixpath
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from pipelines.store.store import Store

IN_STORE = "store"
_LOGGER = logging.getLogger("evolgrid.events")
_LOGGER.setLevel(logging.INFO)
_LOGGER.propagate = False
_LOGGER.addHandler(logging.NullHandler())


def emit(name: str, **fields: Any) -> None:
    """Send an event to all handlers; `fields` say what it is about."""
    _LOGGER.info(name, extra={"fields": fields})


def event_fields(record: logging.LogRecord) -> dict[str, Any]:
    """Return the fields of an event."""
    return record.__dict__["fields"]


@contextmanager
def listening(handler: logging.Handler) -> Generator[None]:
    """Send all events within the block to a handler, and close it at the end."""
    _LOGGER.addHandler(handler)
    try:
        yield
    finally:
        _LOGGER.removeHandler(handler)
        handler.close()


@contextmanager
def log_to(log: str | None, store: Store, study: str) -> Generator[None]:
    """Write all events as JSON lines with the study's name. Write nothing if `log` is None.

    `log` is a file to append to, or IN_STORE: a new file for each run, under `studies/NAME/events/`. In an object store
    the file becomes visible when the run finishes.
    """
    if log is None:
        yield
        return
    with _open_log(log, store, study) as stream:
        handler = logging.StreamHandler(stream)
        handler.setFormatter(_JsonLines({"study": study}))
        with listening(handler):
            yield


def _open_log(log: str, store: Store, study: str) -> TextIO:
    from pipelines.store.studies.run_record import study_folder

    if log != IN_STORE:
        Path(log).parent.mkdir(parents=True, exist_ok=True)
        return Path(log).open("a", encoding="utf-8")
    folder = posixpath.join(study_folder(store, study), "events")
    store.fs.makedirs(folder, exist_ok=True)
    return store.fs.open(posixpath.join(folder, f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}.jsonl"), "w", encoding="utf-8")


class _JsonLines(logging.Formatter):
    def __init__(self, common: dict[str, str]) -> None:
        super().__init__()
        self._common = common

    def format(self, record: logging.LogRecord) -> str:
        now = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"time": now, "event": record.getMessage()} | self._common | event_fields(record)
        return json.dumps(line, ensure_ascii=False, default=str)
