"""Reads the header of a card (README.md) of a data set or a model: its configs, licence and languages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipelines.rows.readers.rules import Licence
from pipelines.rows.readers.seed_rows import FileProblem

CARD = "README.md"
_HEADER = re.compile(r"\s*---[ \t]*\r?\n(.*?)^---[ \t]*$", re.DOTALL | re.MULTILINE)
_REMEDY = "Use another commit, or download the files and name them with 'file'."
Card = Mapping[str, Any]


def read_card(folder: Path) -> Card:
    """Return the header of the card in a folder; empty without a card or a header.

    Raises:
        FileProblem: If the header is not YAML, or not a mapping.
    """
    path = folder / CARD
    if not path.is_file():
        return {}
    header = _HEADER.match(path.read_text(encoding="utf-8-sig", errors="replace"))
    yaml = YAML(typ="safe")
    yaml.allow_duplicate_keys = True
    try:
        found: Any = yaml.load(header[1]) if header else None
    except YAMLError as error:
        reason = " ".join(str(error).split())[:200]
        raise FileProblem(f"has a {CARD} whose header is not YAML: {reason}", remedy=_REMEDY) from None
    if found is not None and not isinstance(found, dict):
        raise FileProblem(f"has a {CARD} whose header is not a mapping", remedy=_REMEDY)
    return found or {}


def licence_of(card: Card) -> Licence:
    """Return the licence that a card states; one without identifiers if it states none."""
    stated = card.get("license")
    ids = stated if isinstance(stated, list) else [stated]
    return Licence(tuple(str(each) for each in ids if each), _text(card, "license_name"), _text(card, "license_link"))


def languages_of(card: Card) -> tuple[str, ...]:
    """Return the languages that a card states, as the hub writes them (`en`)."""
    stated = card.get("language")
    return tuple(str(each) for each in (stated if isinstance(stated, list) else [stated]) if each)


def _text(card: Card, key: str) -> str:
    return str(card.get(key) or "")
