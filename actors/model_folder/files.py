"""What is wrong with the files of a model's folder: Git LFS pointers, truncated weights, missing shards.

Nothing here imports torch or transformers, so `evolgrid plan` checks every folder.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from actors.engine import LoadError

WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = f"{WEIGHTS_FILE}.index.json"
LFS_PREFIX = b"version https://git-lfs.github.com/spec/"
DOWNLOAD_AGAIN = "Download the model again."
_EDGE = 256  # bytes at the start and end of a file
_MAX_HEADER = 100_000_000  # bytes; the limit of safetensors itself


@dataclass(frozen=True, slots=True)
class FolderFault:
    """What is wrong with a folder, naming the file, and what to do about it."""

    message: str
    remedy: str


def folder_fault(folder: Path) -> FolderFault | None:
    """Return the first fault of a model's folder; None if its files are complete."""
    return next(_faults(folder), None)


def check_files(model: str) -> None:
    """Raise LoadError if the folder of a model has a fault. Names on the hub pass."""
    fault = folder_fault(Path(model)) if Path(model).is_dir() else None
    if fault is not None:
        raise LoadError(model, f"{fault.message}. {fault.remedy}")


def read_config(folder: Path) -> dict[str, Any] | None:
    """Return the folder's config.json; None if it is missing or not a JSON object."""
    try:
        config = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError):
        return None
    return cast("dict[str, Any]", config) if isinstance(config, dict) else None


def _faults(folder: Path) -> Iterator[FolderFault]:
    pointers = [path.name for path in _loaded_files(folder) if _starts_with(path, LFS_PREFIX)]
    if pointers:
        more = (
            f" and {len(pointers) - 1} more files are Git LFS pointers"
            if len(pointers) > 1
            else " is a Git LFS pointer"
        )
        remedy = f"Run 'git lfs pull' in {folder}: the repository was cloned without its large files."
        yield FolderFault(f"{folder}: {pointers[0]}{more}, not the file itself", remedy)
    if (folder / "config.json").is_file() and read_config(folder) is None:
        yield FolderFault(f"{folder}: config.json is not a JSON object", DOWNLOAD_AGAIN)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        if (folder / name).is_file() and not _is_whole_object(folder / name):
            yield FolderFault(f"{folder}: {name} is truncated, or is not a JSON object", DOWNLOAD_AGAIN)
    if (others := _misnamed_weights(folder)) is not None:
        message = f"{folder} has neither {WEIGHTS_FILE} nor {INDEX_FILE}, only {others}"
        remedy = "Download the missing file, or rename a single file of weights to model.safetensors."
        yield FolderFault(message, remedy)
    for name in _missing_shards(folder):
        yield FolderFault(f"{folder}: {name} is missing, but {INDEX_FILE} names it", DOWNLOAD_AGAIN)
    for path in sorted(folder.glob("*.safetensors")):
        if (reason := _truncation(path)) is not None:
            yield FolderFault(f"{folder}: {path.name} {reason}", DOWNLOAD_AGAIN)


def _loaded_files(folder: Path) -> list[Path]:
    """Return the files that loading reads: configs, weights and the tokenizer's files."""
    names = ("*.safetensors", "*.json", "*.jinja", "tokenizer.model", "merges.txt", "vocab.txt")
    return sorted({path for name in names for path in folder.glob(name) if path.is_file()})


def _starts_with(path: Path, prefix: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(prefix)) == prefix


def _is_whole_object(path: Path) -> bool:
    """Return whether a file begins and ends as a JSON object does. A tokenizer's file is too large to parse it here."""
    with path.open("rb") as file:
        start = file.read(_EDGE)
        file.seek(max(0, path.stat().st_size - _EDGE))
        return start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") and file.read().rstrip().endswith(b"}")


def _misnamed_weights(folder: Path) -> str | None:
    """Return the name of the first weights if no weights have the names that are loaded; None if some have, or none."""
    names = sorted(path.name for path in folder.glob("*.safetensors"))
    loaded = (WEIGHTS_FILE, INDEX_FILE, "adapter_model.safetensors")
    found = any((folder / name).is_file() for name in loaded)
    return names[0] if names and not found else None


def _missing_shards(folder: Path) -> list[str]:
    """Return the names of shards in the index that are not in the folder."""
    try:
        index = json.loads((folder / INDEX_FILE).read_bytes())
        shards = {str(name) for name in index["weight_map"].values()}
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError, AttributeError):
        return [f"a readable 'weight_map' of {INDEX_FILE}"]
    return sorted(name for name in shards if not (folder / name).is_file())


def _truncation(path: Path) -> str | None:
    """Return why a safetensors file cannot be complete; None if its size is the one that its header says."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > _MAX_HEADER:
            return "is not a safetensors file"
        header = file.read(length)
    if len(header) < length:
        return f"is truncated in its header, after {size:,} bytes"
    try:
        tensors = {name: entry for name, entry in json.loads(header).items() if name != "__metadata__"}
        expected = 8 + length + max((int(entry["data_offsets"][1]) for entry in tensors.values()), default=0)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        return "is not a safetensors file"
    return f"is truncated: {size:,} of {expected:,} bytes" if size < expected else None
