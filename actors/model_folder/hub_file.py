"""Finds one file of a model, in its folder or on the hub."""

from __future__ import annotations

from pathlib import Path


def model_file(model: str, revision: str | None, name: str) -> Path | None:
    """Return the path of a file of a model, downloaded if necessary; None if the model does not have it."""
    if Path(model).is_dir():
        path = Path(model, name)
        return path if path.is_file() else None
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(model, name, revision=revision))
    except LocalEntryNotFoundError:  # offline, and not in the cache
        return None
    except EntryNotFoundError:
        return None
