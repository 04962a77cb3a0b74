"""Finds the one label or number that a judge's reply gives, whatever stands around it, or none if there are several."""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

TWO = "two"
_NOUN = (
    r"(?:difficulty|level|label|category|kind|type|task|answer|score|rating|verdict|result|classification|name|method"
    r"|keyword|judge?ment|output|response|conclusion)"
)
_OF = r"(?:[ \t]+(?:of|for)[ \t]+(?:the|this)[ \t]+(?:given[ \t]+)?(?:instruction|task|prompt|question|line))?"
_PREFIX = re.compile(
    rf"\A(?:(?:therefore|thus|so|hence|overall),?[ \t]+)?(?:(?:the|my|its|this)[ \t]+)?(?:instruction'?s?[ \t]+)?"
    rf"(?:final[ \t]+|overall[ \t]+|best[ \t]+|correct[ \t]+)*{_NOUN}(?:[ \t]+(?:{_NOUN}|of[ \t]+task))?{_OF}"
    rf"[\s*_`\"']*(?:[:=\uff1a]|[ \t]is(?:[ \t]*:)?[ \t])[\s*_`\"']*",
    re.I,
)
_FENCE = re.compile(r"\A```\w*\s*(?P<body>[^`]*?)\s*```\Z")
_TAG = re.compile(r"\A<(?P<name>[\w-]+)>(?P<body>[^<>]*)</(?P=name)>\Z")
_BOXED = re.compile(r"\\boxed\{\s*(?:\\text(?:bf|it)?\{)?(?P<body>[^{}]*)\}+")
_DOUBLE_BRACKETS = re.compile(r"\[\[(?P<body>[^\[\]]*)\]\]")
_AROUND = " \t\r\n*_`\"'\u201c\u201d\u2018\u2019\u300c\u300d#$[]()"
_AFTER = _AROUND + ".,;!:\u3002"
_LIST_MARK = re.compile(r"\A(?:[-*\u2022][ \t]+|\d{1,2}[.)][ \t]+)")
_EXPLAINED = re.compile(
    r"\A(?P<label>[^\n.,:;!(\u2013\u2014]{0,60}?)[*_`\"']*(?:[.,:;!][*_`\"']*[ \t]|[ \t]{1,3}[-(\u2013\u2014])", re.I
)
_NUMBER = re.compile(
    r"\A(?P<number>[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))[ \t*_`]*"
    r"(?P<scale>(?:/|out[ \t]+of|of)[ \t*_`]*100(?:\.0+)?\b|%|percent\b|points?\b)?[ \t*_`]*(?:points?)?\Z",
    re.I,
)
_ANY_NUMBER = re.compile(r"(?<![\w.])[0-9]+(?:\.[0-9]+)?(?![\w])")


def bare(text: str) -> str:
    """Return a text without marks around it (emphasis, quotes, brackets, a stop), a prefix such as "Label:", or a box.

    One-field JSON, a pair of tags and a code fence are unwrapped, too.
    """
    before = None
    while text != before:
        before, text = text, _unwrapped(text.strip())
    return text


def _unwrapped(text: str) -> str:
    for pattern in (_FENCE, _TAG, _BOXED, _DOUBLE_BRACKETS):
        if (found := pattern.match(text)) and not text[found.end() :].strip(_AFTER):
            return found["body"]
    if text.startswith("{") and (field := one_field(text)) is not None:
        return field
    text = text.lstrip(_AROUND).rstrip(_AFTER)
    return _PREFIX.sub("", text, count=1)


def one_field(text: str) -> str | None:
    """Return the text or number of a JSON object's only field; None for any other text."""
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or len(value) != 1:  # pyright: ignore[reportUnknownArgumentType]
        return None
    (only,) = value.values()  # pyright: ignore[reportUnknownVariableType]
    return str(only) if isinstance(only, str | int | float) and not isinstance(only, bool) else None


def one_label(text: str, labels: Sequence[str]) -> str | None:
    """Return the only label that a reply names, in its own spelling; `TWO` if it names several; else None.

    The label is the whole reply, its line of its own beside explanations, boxed, or the beginning of an explanation. A
    mention of another label anywhere makes the reply ambiguous.
    """
    whole = _spelling(bare(text), labels)
    if whole:
        return whole
    found = {label for part in _parts(text) if (label := _spelling(part, labels))}
    mentions = _mentions(text, labels)
    return TWO if found and len(found | mentions) > 1 else next(iter(found), TWO if len(mentions) > 1 else None)


def _spelling(text: str, labels: Sequence[str]) -> str | None:
    normal = _normal(text)
    return next((label for label in labels if label == normal), None)


def _normal(text: str) -> str:
    return re.sub(r"[\s_-]+", " ", text).strip().lower()


def _parts(text: str) -> Iterable[str]:
    """Yield the parts of a reply that can be its label: boxed ones, whole lines, and what an explanation follows."""
    for pattern in (_BOXED, _DOUBLE_BRACKETS):
        yield from (bare(found["body"]) for found in pattern.finditer(text))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    yield from map(bare, lines)
    if lines and (explained := _EXPLAINED.match(_PREFIX.sub("", lines[0].lstrip(_AROUND), count=1))):
        yield bare(explained["label"])


def _mentions(text: str, labels: Sequence[str]) -> set[str]:
    """Return the labels that a reply mentions anywhere; a label within a longer one is not counted."""
    longest_first = sorted(labels, key=len, reverse=True)
    pattern = r"\b(?:" + "|".join(re.escape(label).replace(r"\ ", r"[\s_-]+") for label in longest_first) + r")\b"
    return {_normal(found[0]) for found in re.finditer(pattern, text, re.I)}


def one_number(text: str) -> str | None:
    """Return the only number from 0 to 100 that a reply gives as its score, as text; `TWO` if there are several.

    The number is the whole reply, or stands in a line of its own: then a line that names it as the score, its scale or
    a box counts more than a plain number, and plain numbers elsewhere in the text make the reply ambiguous.
    """
    if whole := _number(bare(text)):
        return whole[0]
    boxed = [found["body"] for pattern in (_BOXED, _DOUBLE_BRACKETS) for found in pattern.finditer(text)]
    lines = [line for line in text.splitlines() if line.strip()]
    named = {number[0] for part in boxed if (number := _number(bare(part)))}
    plain = set[str]()
    for line in lines:
        if number := _number(bare(line)):
            (named if number[1] or _PREFIX.match(line.lstrip(_AROUND)) else plain).add(number[0])
    if named:
        return named.pop() if len({float(number) for number in named | plain}) == 1 else TWO
    others = {float(found[0]) for found in _ANY_NUMBER.finditer(text)}
    return (plain.pop() if len(others) == 1 else TWO) if plain else None


def _number(text: str) -> tuple[str, bool] | None:
    """Return a number as text, and whether its scale is given; None if the text is something else."""
    found = _NUMBER.match(text)
    return (found["number"], bool(found["scale"])) if found else None


def short_name(text: str) -> str:
    """Return the name in a reply of one line, or in its only line with a prefix such as "Name:"; else the reply."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    labelled = [line for line in lines if _PREFIX.match(line.lstrip(_AROUND))]
    chosen = labelled[0] if len(lines) > 1 and len(labelled) == 1 else text
    return bare(_LIST_MARK.sub("", chosen.strip()))
