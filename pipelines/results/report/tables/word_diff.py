"""Which words an evolution added, and which it took away."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

Kind = Literal["same", "added", "removed"]
_CJK = r"\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
# Vowel signs and emoji joiners are no \w: every other non-ASCII character stays with its neighbours
_TOKEN = re.compile(rf"(?:[{_CJK}]|(?:[^\W{_CJK}]|[^\x00-\x7f\s{_CJK}])+|[^\w\s])\s*|\s+")
_LONGEST = 1500
_ALIKE = 0.3


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text. The `same` and `added` pieces together are the new text, unchanged."""

    kind: Kind
    text: str


def pieces(old: str, new: str) -> list[Piece]:
    """`new` against `old`, word by word.

    Texts with little in common, or of more than 1,500 words, come back as one unmarked piece: marking all of a
    text says nothing, and the comparison is quadratic.
    """
    before, after = _TOKEN.findall(old), _TOKEN.findall(new)
    if max(len(before), len(after)) > _LONGEST:
        return [Piece("same", new)]
    matcher = SequenceMatcher(None, [_key(token) for token in before], [_key(token) for token in after], autojunk=False)
    if matcher.ratio() < _ALIKE:
        return [Piece("same", new)]
    found: list[Piece] = []
    for tag, start, stop, new_start, new_stop in matcher.get_opcodes():
        if tag != "equal" and start < stop:
            found.append(Piece("removed", "".join(before[start:stop])))
        if new_start < new_stop:
            found.append(Piece("same" if tag == "equal" else "added", "".join(after[new_start:new_stop])))
    return found


def _key(token: str) -> str:
    return token.strip()
