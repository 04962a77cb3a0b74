"""Signs that an evolved instruction is not what was asked for: another script, or an answer. They do not prove it."""

import re
import unicodedata
from collections import Counter
from functools import cache

LANGUAGE, ANSWER = "language", "answer"
MIN_LETTERS = 4
MAIN_SHARE = 0.6  # of the letters, for the script of a text
KNOWN_SHARE = 0.1  # a script with this share of the earlier instruction is not new
_CJK = ("CJK", "HIRAGANA", "KATAKANA")
_AFFIRMATION = re.compile(
    r"\A(?:sure(?: thing)?|certainly|of course|absolutely|definitely|great question|no problem|happy to help)[!,.]",
    re.I,
)
_DELIVERY = re.compile(
    r"\bhere(?: are|'s| is)\b[^.?\n]{0,60}(?:facts?|tips?|steps?|examples?|reasons?|ways?|ideas?|points?|answers?|list"
    r"|explanation|overview|summary|breakdown|code|solution|how)\b[^?\n]{0,60}:",
    re.I,
)


def flags(before: str, after: str) -> list[str]:
    """Return the signs in an instruction (`after`) that was evolved from another one (`before`)."""
    found = {LANGUAGE: changes_script(before, after), ANSWER: _AFFIRMATION.match(after) is not None}
    return [name for name, is_found in found.items() if is_found]


def is_answer(text: str) -> bool:
    """Return whether a text is certainly an answer: it agrees ("Sure!") and then announces what it delivers."""
    return _AFFIRMATION.match(text) is not None and _DELIVERY.search(text) is not None


def changes_script(before: str, after: str) -> bool:
    """Return whether a text is mostly in a script of which the earlier text has next to nothing."""
    if before.isascii() and after.isascii():
        return False
    old, new = script_counts(before), script_counts(after)
    if old.total() < MIN_LETTERS or new.total() < MIN_LETTERS:
        return False
    script, letters = new.most_common(1)[0]
    return letters >= MAIN_SHARE * new.total() and old[script] < KNOWN_SHARE * old.total()


def script_counts(text: str) -> Counter[str]:
    """Return the number of letters by script (LATIN, CYRILLIC, HANGUL ...). Kana and the Kanji beside them are one."""
    counts: Counter[str] = Counter()
    for char, count in Counter(text).items():
        if char.isalpha():
            counts[_script(char)] += count
    kana = counts["HIRAGANA"] + counts["KATAKANA"]
    if kana >= KNOWN_SHARE * (kana + counts["CJK"]) > 0:
        counts["JAPANESE"] = sum(counts.pop(script, 0) for script in _CJK)
    return +counts


@cache
def _script(char: str) -> str:
    return unicodedata.name(char, "?").split()[0]
