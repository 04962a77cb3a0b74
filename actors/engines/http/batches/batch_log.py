"""Records in files which requests are in which batch, so that a new process waits for the batches of an old one."""

from __future__ import annotations

import json
import posixpath
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fsspec.core import url_to_fs

from actors.digest import digest

MAX_AGE = 29 * 24 * 3600.0  # seconds for which servers keep results
DEFAULT_FOLDER = str(Path.home() / ".cache" / "evolgrid" / "batches")


class BatchLog:
    """The batches of one model behind one address: a file for each in a folder, or at the URL of one."""

    def __init__(self, folder: str, address: str, model: str) -> None:
        self._fs, root = url_to_fs(folder or DEFAULT_FOLDER)
        self._fs: Any
        self._folder = posixpath.join(root, digest("batches", address, model))

    def add(self, batch: str, requests: Sequence[str]) -> None:
        """Record a batch that was sent, and the ids of its requests."""
        self._fs.makedirs(self._folder, exist_ok=True)
        data = json.dumps({"batch": batch, "sent": time.time(), "requests": [*requests]}).encode()
        self._fs.pipe_file(self._path(digest("batch", batch)), data)

    def read(self) -> Mapping[str, str]:
        """Return the batch of each request. Batches whose results the server has deleted are removed."""
        records = {path: json.loads(self._fs.cat_file(path)) for path in self._fs.glob(self._path("*"))}
        found = dict[str, str]()
        for path, record in sorted(records.items(), key=lambda item: item[1]["sent"]):
            if time.time() - record["sent"] > MAX_AGE:
                self._fs.rm_file(path)
            else:  # a request that was sent again is in the later batch
                found |= dict.fromkeys(record["requests"], record["batch"])
        return found

    def remove(self, batch: str) -> None:
        """Forget a batch that the server has rejected."""
        self._fs.rm_file(self._path(digest("batch", batch)))

    def _path(self, name: str) -> str:
        return posixpath.join(self._folder, f"{name}.json")
