"""FollowBench's rules for tasks that need no judge, ported from its code (github.com/YJiangcm/FollowBench, Apache-2.0).

As in its code, sentences end at every '.', '!' and '?', and words are separated by spaces.
"""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Test = Callable[[str], bool]


def has_rule(row: Mapping[str, Any]) -> bool:
    """Return whether a row is checked by a rule."""
    by_text = row["category"] == "format" and row["example_id"] in (22, 30)
    return by_text or row["category"] == "example" or row["source"] in _TARGETS or row["source"] in _TESTS


def satisfies(row: Mapping[str, Any], answer: str) -> bool:
    """Return whether an answer satisfies all constraints of a row that has a rule."""
    level, source = int(row["level"]), str(row["source"])
    if row["category"] == "example":
        return matches(str(row["target"]).replace("{instruction}\n", ""), answer)
    if row["category"] == "format" and row["example_id"] == 22:
        return _paragraphs(answer, level)
    if row["category"] == "format" and row["example_id"] == 30:
        return all(test(answer) for test in _POINTS[:level])
    if source in _TARGETS:
        return _TARGETS[source](answer, str(row["target"]))
    return all(test(answer) for test in _TESTS[source][:level])


def matches(template: str, answer: str) -> bool:
    """Return whether an answer matches a template, whose {answer} matches any text within a line."""
    pattern = template.replace("{{", "{").replace("}}", "}").replace("{answer}", ".*")
    return re.fullmatch(re.escape(pattern).replace("\\.\\*", ".*"), answer) is not None


def _sentences(text: str) -> list[str]:
    return [part for part in re.split(r"[.!?]", text) if part]


def _has_sentence_count(number: int) -> Test:
    return lambda text: len(_sentences(text)) == number


def _has_word(word: str) -> Test:
    return lambda text: re.search(rf"\b{re.escape(word)}\b", text) is not None


def _not(test: Test) -> Test:
    return lambda text: not test(text)


def _in_sentence(number: int, test: Test) -> Test:
    return lambda text: len(found := _sentences(text)) >= number and test(found[number - 1])


def _words(min_words: int, max_words: int) -> Test:
    return lambda text: min_words <= len(text.split(" ")) <= max_words


def _matches_pattern(pattern: str, flags: int = 0) -> Test:
    return lambda text: re.search(pattern, text, flags) is not None


def _short_sentences(text: str) -> bool:
    return all(len(one.split()) < 15 for one in _sentences(text))


def _long_sentences(text: str) -> bool:
    return all(len(one.split()) > 20 for one in _sentences(text))


def _punctuation_count(text: str) -> int:
    return sum(char in string.punctuation for char in text)


def _all(*tests: Test) -> Test:
    return lambda text: all(test(text) for test in tests)


_PERFECT, _CONTINUOUS = _matches_pattern(r"\b(has|have)\s+\w+"), _matches_pattern(r"\b(am|is|are)\s+\w+ing\b")
# by source, the tests that each level adds
_TESTS: dict[str, Sequence[Test]] = {
    "cnn_dailymail": (
        _has_sentence_count(3),
        _short_sentences,
        _all(*(_in_sentence(n, _has_word(word)) for n, word in enumerate(("Potter", "actor", "films"), 1))),
        _not(_in_sentence(2, _has_word("lavish"))),
        _in_sentence(3, _PERFECT),
    ),
    "xsum": (
        _has_sentence_count(1),
        _words(0, 19),
        _not(_has_word("Newton Stewart")),
        _CONTINUOUS,
        _has_word("operation"),
    ),
    "samsum": (
        _has_sentence_count(1),
        _words(0, 14),
        _has_word("stuff"),
        _not(_matches_pattern("procrast", re.IGNORECASE)),
        lambda text: _punctuation_count(text) == 1,
    ),
    "gigaword": (
        _words(8, 8),
        lambda text: _punctuation_count(text) == 0,
        str.islower,
        _not(_has_word("bus")),
        _has_word("in"),
    ),
    "arxiv": (
        _has_sentence_count(1),
        _words(0, 20),
        lambda text: text.startswith("We"),
        _has_word("activations"),
        _not(_has_word("transformer")),
    ),
}


def _last(pattern: str) -> Callable[[str, str], bool]:
    return lambda answer, target: (re.findall(pattern, answer) or [None])[-1] == target


# by source, how an answer is compared with the row's target, at every level
_TARGETS: dict[str, Callable[[str, str], bool]] = {
    "E2E": str.__eq__,
    "text_editing": str.__eq__,
    "WIKIEVENTS": lambda answer, target: set(answer.split("\n")) <= set(target.split("\n")),
    "CONLL2003": lambda answer, target: answer in ast.literal_eval(target),
    "BBH_logical": _last(r"\([A-Z]\)"),
    "BBH_time": _last(r"\d{2}/\d{2}/\d{4}"),
    "self_made_space": lambda answer, target: target in answer,
    "gsm_8k": _last(r"\$\d+"),
}


def _paragraphs(text: str, level: int) -> bool:
    """Check format task 22: three short, numbered paragraphs of long sentences, and a closing line at level 5."""
    parts = text.split("\n\n")
    numbered = all(re.match(r"\d+\.", part.lstrip()) for part in parts if part.strip())
    tests = (
        len(parts) == (4 if level == 5 else 3),
        all(len(_sentences(part)) < 3 for part in parts[:3]),
        _long_sentences(text),
        numbered,
        text.endswith("Those are suggestions"),
    )
    return all(tests[:level])


def _points(text: str) -> list[str]:
    return re.split(r"(?<!\w\.\w.)(?<![A-Z][a-z]\.)(?<=\.|\?)\s", text)


def _short_points(text: str) -> bool:
    numbered = [one for one in _points(text) if any(f"{number}." in one for number in range(1, 6))]
    return all(len(one.split(".")) < 3 for one in numbered)


# format task 30: five bold points
_POINTS: Sequence[Test] = (
    lambda text: "**" in text,
    lambda text: len(re.findall(r"\*\*[\d].+?:", text)) == 5,
    _short_points,
    lambda text: all(10 <= len(one.split()) <= 15 for one in _points(text)),
    lambda text: not any(word.endswith("-ly") for word in text.split()),
)
