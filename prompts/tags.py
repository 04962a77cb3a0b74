"""Reads the tags of an instruction from a judge's reply, in the forms of InsTag's rule for equal tags (2308.07074)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, cast

MAX_TAG_WORDS = 8  # longer entries are sentences, not tags
_LIST = re.compile(r"\[.*\]", re.DOTALL)
_NAMES = ("tag", "name", "label", "intention")  # keys of an entry's tag, in InsTagger's replies 'tag'
_LISTS = ("tags", "intentions", "labels")
_SPECIAL = re.compile(r"[\W_]+")
_NOT_PLURAL = ("ss", "us", "is", "ics", "ias", "news", "series", "species")
_LINE = re.compile(r"\A\s*(?:[-*\u2022]|\d{1,2}[.)])\s+(.+)")


def read_tags(reply: str) -> tuple[list[str], bool] | None:
    """Return the different tags of a reply in normal form, and whether the reply was JSON and nothing else.

    JSON may be a list of strings, of objects with a `tag`, one such object, one for each line, or an object with a list
    of `tags`, each also with text or a fence around it. Without JSON, the lines of a bulleted list are tags. Returns
    None if there is none of these. An empty JSON list has no tags.
    """
    text = reply.strip()
    value = _loaded(text)
    found = None if value is None else _entries(value)
    exact = found is not None
    if found is None:
        found = _embedded(text)
    if found is None:
        return None
    names = (normal_tag(each) for each in found)
    return list(dict.fromkeys(name for name in names if name and len(name.split()) <= MAX_TAG_WORDS)), exact


def normal_tag(tag: str) -> str:
    """Return a tag in lower case, spaces for all but letters and digits, and its last word in the singular."""
    words = _SPECIAL.sub(" ", tag.lower()).split()
    return " ".join([*words[:-1], _singular(words[-1])]) if words else ""


def _singular(word: str) -> str:
    if len(word) < 4 or not word.endswith("s") or word.endswith(_NOT_PLURAL):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-2] if word.endswith(("sses", "shes", "ches", "xes", "zzes")) else word[:-1]


def _embedded(text: str) -> list[str] | None:
    """Return the tags of JSON inside other text: a list, else objects; else of a bulleted list; None without any."""
    candidate = _LIST.search(text)
    listed = _entries(_loaded(candidate[0])) if candidate else None
    if listed is not None:
        return listed
    objects = [name for value in _objects(text) for name in _entries(value) or ()]
    if objects:
        return objects
    lines = [line for line in text.splitlines() if line.strip()]
    bullets = [found[1] for line in lines if (found := _LINE.match(line))]
    return bullets if bullets and len(bullets) >= len(lines) - 1 else None


def _objects(text: str) -> Iterator[Any]:
    """Yield the JSON objects in a text, also those before the place where it was cut off."""
    decoder, place = json.JSONDecoder(), text.find("{")
    while place >= 0:
        try:
            value, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            end = place + 1
        else:
            yield value
        place = text.find("{", end)


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _entries(value: Any) -> list[str] | None:
    """Return the tags in a JSON value; None if it has another form."""
    if isinstance(value, dict):
        fields = {str(name).lower(): each for name, each in cast(dict[object, Any], value).items()}
        lists = [fields[name] for name in _LISTS if isinstance(fields.get(name), list)]
        names = [fields[name] for name in _NAMES if isinstance(fields.get(name), str)]
        return _entries(lists[0]) if lists else names[:1] or None
    if not isinstance(value, list):
        return None
    parts = [[each] if isinstance(each, str) else _entries(each) for each in cast(list[Any], value)]
    known = [part for part in parts if part is not None]
    return [name for part in known for name in part] if len(known) == len(parts) else None
