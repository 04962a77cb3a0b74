"""Content keys: the sha256 of a canonical description. Values of unknown types raise an error."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field, fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel

MODEL_FILES = (".json", ".safetensors", ".model", ".txt", ".jinja")


@dataclass(frozen=True, slots=True)
class Description:
    """The canonical form of a part that many keys share. It is compared and hashed by its digest."""

    value: Any = field(compare=False, repr=False)
    digest: str


def describe(value: Any) -> Description:
    """Return the description of plain data, a dataclass or a pydantic model.

    Raises:
        TypeError: The value contains a type that cannot be a part of a key.
    """
    found = canonical(value)
    return Description(found, fingerprint(found))


def describe_without(model: BaseModel, *left_out: str) -> Description:
    """Return the description of a hashable model without some of its fields."""
    return _describe_without((model, left_out))


@lru_cache(maxsize=4096)
def _describe_without(values: tuple[BaseModel, tuple[str, ...]]) -> Description:
    model, left_out = values
    return describe(model.model_dump(exclude=set(left_out)))


def canonical(value: Any) -> Any:
    """Return `value` as plain JSON data, with nothing left out.

    Raises:
        TypeError: The value contains an unknown type or a mapping whose keys are not strings.
        ValueError: The value contains NaN or infinity.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return _canonical_number(value)
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    if isinstance(value, dict):
        return {_text_key(key): canonical(item) for key, item in value.items()}
    if isinstance(value, Description):
        return value.value
    if isinstance(value, BaseModel):
        return {name: canonical(getattr(value, name)) for name in type(value).model_fields}
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: canonical(getattr(value, one.name)) for one in fields(value)}
    raise TypeError(f"a value of type {type(value).__name__} cannot be a part of a key: convert it to plain data first")


def _canonical_number(value: float) -> float | int:
    if not math.isfinite(value):
        raise ValueError("NaN or infinity cannot be a part of a key")
    return int(value) if value.is_integer() else value


def _text_key(key: Any) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a mapping with {type(key).__name__} keys cannot be a part of a key")
    return key


def fingerprint(description: Any) -> str:
    """Return the first 32 hex digits of the sha256 of `description` in canonical form."""
    text = json.dumps(canonical(description), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def fingerprint_of_texts(*texts: str) -> str:
    """Return the `fingerprint` of a list of texts that JSON writes as they are, such as names and hex digits."""
    joined = '","'.join(texts)
    return hashlib.sha256(f'["{joined}"]'.encode()).hexdigest()[:32]


def hash_file(path: Path) -> str:
    """Return the sha256 of a file's bytes as hex digits. The file is read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@lru_cache(maxsize=256)
def hash_model(folder: Path) -> str:
    """Return the content hash of a model folder: the names and bytes of configuration, tokenizer and weights."""
    files = sorted(p for p in folder.rglob("*") if p.suffix in MODEL_FILES)
    return fingerprint({str(p.relative_to(folder)): hash_file(p) for p in files})
