"""Studies with entries of one kind, for the cases of `identity_cases`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

Entry = dict[str, Any]
ANSWERS = {"teachers": ["a"], "answer_seeds": False}
FILES = (
    "seeds.jsonl",
    "other.jsonl",
    "items.jsonl",
    "chat.jinja",
    "shots.jsonl",
    "formats.txt",
    "formats2.txt",
    "answers.json",
)


@dataclass(frozen=True)
class Case:
    """A kind of entry of a study: the study with some of these entries, one entry, and what each field is changed to.

    A change is a value of the field, or a whole mapping of fields that only go together. `others` are the fields that
    name or place an entry, and so are in no key. `kinds` are the steps whose keys the entry enters.
    """

    spec: type[BaseModel]
    kinds: tuple[str, ...]
    study: Callable[..., Entry]
    entry: Entry
    changes: Mapping[str, Any]
    others: frozenset[str] = frozenset()
    several: bool = True  # of which a study can have several
    alone: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # fields that enter fewer kinds


def scripted(**parts: Any) -> Entry:
    """A small study with these parts."""
    models = {name: {"source": name, "engine": "scripted"} for name in ("a", "b", "judge")}
    base: Entry = {
        "study": "case",
        "seeds": [{"name": "world", "world": {"count": 4}}],
        "models": models | parts.pop("more_models", {}),
        "evolution": {"evolvers": ["a"], "rounds": 1},
        "responses": {"teachers": ["a"]},
    }
    return base | parts


def named(entries: tuple[Entry, ...], **fixed: Any) -> list[Entry]:
    return [{"name": f"entry{number}"} | fixed | entry for number, entry in enumerate(entries)]


def evolutions(*entries: Entry) -> Entry:
    return scripted(evolution=named(entries, evolvers=["a"]))


def within(key: str, wrap: Callable[..., Entry], **fixed: Any) -> Callable[..., Entry]:
    """A study of entries which lie under `key` of outer ones."""
    return lambda *entries: wrap(*(fixed | {key: entry} for entry in entries))


def benchmarks(*entries: Entry) -> Entry:
    return scripted(
        benchmarks=named(entries), students=[{"model": "a", "recipe": "r"}], recipes={"r": {}}, responses=ANSWERS
    )


def decodings(*entries: Entry) -> Entry:
    return scripted(responses={"teachers": ["a"], "decodings": named(entries)})


def recipes(*entries: Entry) -> Entry:
    students = [{"model": "a", "recipe": f"r{number}"} for number in range(len(entries))]
    return scripted(recipes={f"r{number}": entry for number, entry in enumerate(entries)}, students=students)


def selections(*entries: Entry) -> Entry:
    parts = {"students": [{"model": "a", "recipe": "r"}], "recipes": {"r": {}}}
    return scripted(
        selection=named(entries), rewards=["judge"], scoring={"scorer": "b"}, diversity={"encoder": "org/e"}, **parts
    )


def teachers(*entries: Entry) -> Entry:
    models = {f"teacher{number}": {"source": "x", "engine": "scripted"} | e for number, e in enumerate(entries)}
    return scripted(more_models=models, responses={"teachers": list(models)})


def block(key: str, **parts: Any) -> Callable[..., Entry]:
    return lambda entry: scripted(**{key: entry}, **parts)
