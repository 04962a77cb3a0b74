"""A local cache of data sets on the hub, as the Hugging Face tools leave it, without a network."""

from __future__ import annotations

from pathlib import Path

import huggingface_hub.constants as constants
import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def hub_cache(folder: Path, monkeypatch: pytest.MonkeyPatch, *, offline: bool = True) -> Path:
    """Make `folder` the cache of the hub, and return it."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    return folder


def snapshot(cache: Path, name: str, files: dict[str, str | bytes], card: str = "") -> Path:
    """Put the files of a data set's only commit into the cache, with a header of its card; return their folder."""
    home = cache / f"datasets--{name.replace('/', '--')}"
    folder = home / "snapshots" / COMMIT
    for path, content in (files | {"README.md": f"---\n{card}\n---\n# Data\n"}).items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.encode())
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(COMMIT)
    return folder
