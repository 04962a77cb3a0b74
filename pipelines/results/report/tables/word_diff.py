"""Word-level diff of an evolution: the words that it added and removed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

Change = Literal["same", "added", "removed"]
_CJK = r"\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
# Vowel signs and emoji joiners do not match \w, so all other non-ASCII characters stay with their neighbours
_TOKEN = re.compile(rf"(?:[{_CJK}]|(?:[^\W{_CJK}]|[^\x00-\x7f\s{_CJK}])+|[^\w\s])\s*|\s+")
_MAX_WORDS = 1500
_MIN_SIMILARITY = 0.3


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of text. The `same` and `added` pieces joined are the new text."""

    change: Change
    text: str


def segments(old: str, new: str) -> list[Segment]:
    """Compare `new` with `old` word by word.

    Texts with little in common, or of more than 1,500 words, are returned as one unmarked segment: marking a whole
    text is useless, and the comparison is quadratic.
    """
    before, after = _TOKEN.findall(old), _TOKEN.findall(new)
    if max(len(before), len(after)) > _MAX_WORDS:
        return [Segment("same", new)]
    matcher = SequenceMatcher(None, [_key(token) for token in before], [_key(token) for token in after], autojunk=False)
    if matcher.ratio() < _MIN_SIMILARITY:
        return [Segment("same", new)]
    found: list[Segment] = []
    for tag, start, stop, new_start, new_stop in matcher.get_opcodes():
        if tag != "equal" and start < stop:
            found.append(Segment("removed", "".join(before[start:stop])))
        if new_start < new_stop:
            found.append(Segment("same" if tag == "equal" else "added", "".join(after[new_start:new_stop])))
    return found


def _key(token: str) -> str:
    return token.strip()
