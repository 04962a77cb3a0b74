"""Content keys: sha256 of a canonical description, which raises on anything it does not know."""

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
    """A part of a key that is used many times: its canonical form, compared and hashed by its fingerprint."""

    value: Any = field(compare=False, repr=False)
    digest: str


def describe(value: Any) -> Description:
    """Return the description of plain data, a dataclass or a pydantic model.

    Raises:
        TypeError: The value holds a type that keys cannot be made of.
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
    """`value` as plain JSON data. Raises TypeError on unknown types and ValueError on NaN: nothing is left out."""
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
    raise TypeError(f"a key can not be made of {type(value).__name__}: say how it is described")


def _canonical_number(value: float) -> float | int:
    if not math.isfinite(value):
        raise ValueError("a key can not be made of NaN or infinity")
    return int(value) if value.is_integer() else value


def _text_key(key: Any) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a key can not be made of a mapping with {type(key).__name__} keys")
    return key


def fingerprint(description: Any) -> str:
    """32 hex digits of the sha256 of `description` in canonical form."""
    text = json.dumps(canonical(description), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def hash_file(path: Path) -> str:
    """sha256 of a file's bytes, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@lru_cache(maxsize=256)
def hash_model(folder: Path) -> str:
    """Content hash of a model folder: names and bytes of its configuration, tokenizer and weights."""
    files = sorted(p for p in folder.rglob("*") if p.suffix in MODEL_FILES)
    return fingerprint({str(p.relative_to(folder)): hash_file(p) for p in files})
