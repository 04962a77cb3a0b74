"""The world's instructions on the format of an answer: wordings, functions that check them, and changes of an answer.

Every word of the world in the source of a function has a space before it, as in a text. So it is one token for the
bundled models.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

from bundled.world.lexicon import WORDS

Relation = Literal["entailment", "neutral", "contradiction"]
FRAMES: Final = {"brackets": ("(", ")"), "stars": ("*", "*"), "hashes": ("#", "#")}
STOPS: Final = {"full stop": ".", "colon": ":", "question mark": "?"}
MAX_WORD_VALUES: Final = tuple(str(number) for number in range(5, 10))


@dataclass(frozen=True)
class Kind:
    """The values of a kind of format, its wordings, expressions that check it, and the change to an answer.

    {x} is the value; {a} and {b} are the marks of a frame or a stop.
    """

    values: tuple[str, ...]
    phrases: tuple[str, ...]
    checks: tuple[str, ...]
    applied: str


KINDS: Final[dict[str, Kind]] = {
    "start": Kind(
        WORDS,
        ("Start with the word {x}.", "The first word is {x}."),
        ("response.split()[0] == ' {x}'.strip()", "response.split()[:1] == [' {x}'.strip()]"),
        "{x} {answer}",
    ),
    "end": Kind(
        WORDS,
        ("End with the word {x}.", "The last word is {x}."),
        ("response.endswith(' {x}')", "response.split()[-1] == ' {x}'.strip()"),
        "{answer} {x}",
    ),
    "around": Kind(
        WORDS,
        ("Start and end with the word {x}.", "The first and last word is {x}."),
        ("response.split()[0] == response.split()[-1] == ' {x}'.strip()",),
        "{x} {answer} {x}",
    ),
    "with": Kind(
        WORDS,
        ("Use the word {x}.", "Write down the word {x}."),
        ("' {x}' in ' ' + response", "' {x}'.strip() in response.split()"),
        "{answer} with {x}",
    ),
    "without": Kind(
        WORDS,
        ("Do not use the word {x}.", "Work without the word {x}."),
        ("' {x}' not in ' ' + response", "' {x}'.strip() not in response.split()"),
        "{answer}",
    ),
    "twice": Kind(
        WORDS,
        ("Use the word {x} two times.", "Write down the word {x} two times."),
        ("response.count(' {x}') == 2", "response.split().count(' {x}'.strip()) == 2"),
        "{answer} with {x} {x}",
    ),
    "most": Kind(
        MAX_WORD_VALUES,
        ("Use {x} words or less.", "Write not more than {x} words."),
        ("len(response.split()) <= {x}", "not len(response.split()) > {x}"),
        "{answer}",
    ),
    "stop": Kind(
        tuple(STOPS),
        ("End with a {x}.", "Close with a {x}."),
        ("response.endswith('{a}')", "response[-1] == '{a}'"),
        "{answer} {a}",
    ),
    "frame": Kind(
        tuple(FRAMES),
        ("Put the answer in {x}.", "Write the answer between {x}."),
        ("response[0] == '{a}' and response[-1] == '{b}'", "response.startswith('{a}') and response.endswith('{b}')"),
        "{a} {answer} {b}",
    ),
}
WEAKER: Final = {
    "start": ("with",),
    "end": ("with",),
    "around": ("start", "end", "with"),
    "twice": ("with",),
}
_ONE_VALUE: Final = (("start", "around"), ("end", "around"), ("stop",), ("frame",))


@dataclass(frozen=True)
class Format:
    """An instruction on the format of an answer: a kind of `KINDS` and one of its values."""

    kind: str
    value: str

    def render(self, rng: random.Random) -> str:
        """Return the instruction in English; its wording is drawn from the paraphrases."""
        return self._fill(rng.choice(KINDS[self.kind].phrases))

    def renderings(self) -> tuple[str, ...]:
        """Return the instruction in every wording."""
        return tuple(self._fill(phrase) for phrase in KINDS[self.kind].phrases)

    def sources(self) -> tuple[str, ...]:
        """Return Python functions `evaluate(response)` that all check this instruction."""
        return tuple(f"def evaluate(response):\n    return {self._fill(check)}" for check in KINDS[self.kind].checks)

    def apply(self, answer: str) -> str:
        """Return the answer, changed so that it follows the instruction (unless it contains a word to be avoided)."""
        return self._fill(KINDS[self.kind].applied.replace("{answer}", "\0")).replace("\0", answer)

    def holds(self, text: str) -> bool:
        """Return whether the text follows the instruction."""
        return bool(text) and _function(self.sources()[0])(text)

    def weaker(self) -> tuple[Format, ...]:
        """Return the other formats that follow from this one."""
        looser = (
            tuple(value for value in MAX_WORD_VALUES if int(value) > int(self.value)) if self.kind == "most" else ()
        )
        kinds = WEAKER.get(self.kind, ())
        return (*(Format(kind, self.value) for kind in kinds), *(Format("most", value) for value in looser))

    def relation(self, other: Format) -> Relation:
        """Return the relation of NLI with this instruction as the premise and another one as the hypothesis."""
        if other == self or other in self.weaker():
            return "entailment"
        return "contradiction" if self._excludes(other) else "neutral"

    def _excludes(self, other: Format) -> bool:
        kinds = {self.kind, other.kind}
        if self.value == other.value:
            return "without" in kinds and bool(kinds & {"with", *WEAKER})
        return any(kinds <= set(group) for group in _ONE_VALUE)

    def _fill(self, text: str) -> str:
        first, last = FRAMES.get(self.value) or (STOPS.get(self.value, ""),) * 2
        return text.replace("{x}", self.value).replace("{a}", first).replace("{b}", last)


FORMATS: Final = tuple(Format(kind, value) for kind, shape in KINDS.items() for value in shape.values)
_FORMAT_OF: Final = {text: one for one in FORMATS for text in one.renderings()}
_CHECKED_BY: Final = {source: one for one in FORMATS for source in one.sources()}


def draw_format(rng: random.Random) -> Format:
    """Draw a format; every kind is equally likely."""
    kind = rng.choice(tuple(KINDS))
    return Format(kind, rng.choice(KINDS[kind].values))


def parse_format(instruction: str) -> Format | None:
    """Return the format that the instruction asks for, or None if it is not one of the world's."""
    return _FORMAT_OF.get(re.sub(r"\.?$", ".", instruction.strip(), count=1))


def format_checked_by(source: str) -> Format | None:
    """Return the format that one of the world's functions checks, or None for any other function."""
    return _CHECKED_BY.get(source)


@cache
def _function(source: str) -> Callable[[str], bool]:
    names: dict[str, Callable[[str], bool]] = {}
    exec(source, names)
    return names["evaluate"]
