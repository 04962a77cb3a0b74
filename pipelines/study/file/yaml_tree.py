"""Parses YAML 1.2 to plain values with their line numbers, and rejects whatever is ambiguous.

Scalars follow the core schema of YAML 1.2.2 (section 10.3.2), so `010` is 10, and `1:30` and `no` are text. The values
are built from the parser's events in one pass. Tags construct nothing, and the nesting depth is limited.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from pipelines.errors import InputError

Loc = tuple[str | int, ...]
Value = None | bool | int | float | str | list[Any] | dict[str, Any]
MAX_DEPTH = 20
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_PLAIN = re.compile(r"[\w/][\w ./+()@$%^*;=-]*")  # a part of what YAML takes, in a list or a mapping in one line too
_BOOLS = {word: word.lower() == "true" for word in ("true", "True", "TRUE", "false", "False", "FALSE")}
_NULLS = ("", "~", "null", "Null", "NULL")
NOT_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")
MAX_INTEGER = 2**63 - 1


@dataclass(frozen=True)
class Tree:
    """A parsed file: its value, and the line number (from 1) of every key and item in it."""

    value: Value
    line_numbers: dict[Loc, int]


def parse(text: str, file: str) -> Tree:
    """Return the value of `text`, the content of `file`, and its line numbers.

    Raises:
        InputError: With the line, for invalid YAML and for anchors, aliases, tags and merge keys.
    """
    builder = _TreeBuilder(file)
    try:
        builder.start(YAML(typ="safe", pure=True).parse(text))
    except MarkedYAMLError as error:
        raise _syntax_error(error, file) from None
    return Tree(builder.value, builder.line_numbers)


@dataclass
class _TreeBuilder:
    file: str
    value: Value = None
    line_numbers: dict[Loc, int] = field(default_factory=dict[Loc, int])

    def start(self, events: Iterator[Any]) -> None:
        documents = 0
        for event in events:
            if isinstance(event, DocumentStartEvent):
                documents += 1
                self._check_document(event, documents)
            elif isinstance(event, NodeEvent):
                self.line_numbers[()] = event.start_mark.line + 1
                self.value = self._value(event, events, ())

    def _check_document(self, event: DocumentStartEvent, documents: int) -> None:
        if documents > 1:
            raise self._error(event, "a second YAML document starts here; a study file has only one")
        if event.version not in (None, (1, 2)):
            raise self._error(event, "only YAML 1.2 is supported")

    def _value(self, event: NodeEvent, events: Iterator[Any], loc: Loc) -> Value:
        self._refuse_indirection(event, loc)
        if len(loc) > MAX_DEPTH:
            raise self._error(event, f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(event, MappingStartEvent):
            return self._mapping(events, loc)
        if isinstance(event, SequenceStartEvent):
            return self._sequence(events, loc)
        return self._scalar(cast(ScalarEvent, event), loc)

    def _mapping(self, events: Iterator[Any], loc: Loc) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        while not isinstance(event := next(events), MappingEndEvent):
            key = self._key(event, loc)
            line: int = event.start_mark.line + 1
            if key in mapping:
                message = f"key '{key}' is given twice; the first time in line {self.line_numbers[(*loc, key)]}"
                raise self._error(event, message, (*loc, key))
            self.line_numbers[(*loc, key)] = line
            mapping[key] = self._value(next(events), events, (*loc, key))
        return mapping

    def _sequence(self, events: Iterator[Any], loc: Loc) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(events), SequenceEndEvent):
            here = (*loc, len(items))
            self.line_numbers[here] = event.start_mark.line + 1
            items.append(self._value(event, events, here))
        return items

    def _key(self, event: NodeEvent, loc: Loc) -> str:
        self._refuse_indirection(event, loc)
        if not isinstance(event, ScalarEvent):
            raise self._error(event, "a key must be a plain word, not a list or a mapping", loc)
        if event.value == "<<" and event.style is None:
            raise self._error(event, "merge keys ('<<') are not allowed", loc, "Write the values out.")
        return self._clean(event, loc)

    def _scalar(self, event: ScalarEvent, loc: Loc) -> Value:
        text = self._clean(event, loc)
        if event.style is not None:
            return text
        if text in _NULLS:
            return None
        if text in _BOOLS:
            return _BOOLS[text]
        if _NOT_FINITE.fullmatch(text):
            raise self._error(event, f"{text} is not a number that can be used here", loc)
        return self._number(event, text, loc)

    def _number(self, event: ScalarEvent, text: str, loc: Loc) -> Value:
        if _INT.fullmatch(text):
            number = _integer(text)
            if number is None:
                raise self._error(event, "this whole number is too large (64 bits at most)", loc)
            return number
        if _FLOAT.fullmatch(text):
            if math.isinf(float(text)):
                raise self._error(event, f"{text} is too large for a number", loc)
            return float(text)
        return text

    def _clean(self, event: ScalarEvent, loc: Loc) -> str:
        """Return a scalar's text. Escapes in quotes can produce characters that a file must not contain."""
        text: str = event.value
        if bad := NOT_TEXT.search(text):
            raise self._error(event, f"an escape gives U+{ord(bad[0]):04X}, which is not text", loc)
        return text

    def _refuse_indirection(self, event: NodeEvent, loc: Loc) -> None:
        if isinstance(event, AliasEvent):
            raise self._error(event, f"aliases ('*{event.anchor}') are not allowed", loc, "Write the value out.")
        if event.anchor is not None:
            raise self._error(event, f"anchors ('&{event.anchor}') are not allowed", loc, "Write the values out.")
        tag: str | None = getattr(event, "tag", None)
        if tag is not None:
            raise self._error(event, f"tags ('{tag}') are not allowed", loc, "Remove the tag.")

    def _error(self, event: Any, message: str, loc: Loc = (), remedy: str | None = None) -> InputError:
        line: int = event.start_mark.line + 1
        return InputError(message, file=self.file, line=line, field=dotted_path(loc) or None, remedy=remedy)


def is_plain_text(text: str) -> bool:
    """Return whether a scalar without quotes is read as this very text, also in a list in one line."""
    if text in _NULLS or text in _BOOLS or any(form.fullmatch(text) for form in (_INT, _FLOAT, _NOT_FINITE)):
        return False
    return _PLAIN.fullmatch(text) is not None and not text.endswith(" ")


def nearest_loc_in_file(loc: Loc, line_numbers: Mapping[Loc, int]) -> Loc:
    """Return the longest prefix of a location that is written in the file."""
    found = loc_in_file(loc, line_numbers)
    while found and found not in line_numbers:
        found = found[:-1]
    return found


def loc_in_file(loc: Loc, line_numbers: Mapping[Loc, int]) -> Loc:
    """Return a location as the file has it: a single block may replace a list of one, and has no index then."""
    found: Loc = ()
    for part in loc:
        if not isinstance(part, int) or (*found, part) in line_numbers:
            found = (*found, part)
    return found


def dotted_path(loc: Loc) -> str:
    """Return a location in dotted form: `("students", 0, "model")` becomes `students[0].model`."""
    path = ""
    for part in loc:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


def _integer(text: str) -> int | None:
    if len(text) > 25:
        return None
    number = int(text, 0) if text.startswith(("0x", "0o")) else int(text)
    return number if -MAX_INTEGER <= number <= MAX_INTEGER else None


def _syntax_error(error: MarkedYAMLError, file: str) -> InputError:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark is not None else None
    problem = error.problem or error.context or "not valid YAML"
    if "\\t" in problem:
        return InputError("a tab where spaces are needed", file=file, line=line, remedy="Indent with spaces.")
    where = f" ({error.context}, from line {error.context_mark.line + 1})" if error.context_mark else ""
    return InputError(f"not valid YAML: {problem}{where}", file=file, line=line)
