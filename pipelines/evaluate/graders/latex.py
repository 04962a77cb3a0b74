"""Compares LaTeX answers by their normalised text: OpenCompass 0.3.3's `math_postprocess_v2` and `is_equiv` v2.

Ported from there (Apache-2.0), after Hendrycks et al. (2103.03874) and Lewkowycz et al. (2206.14858, appendix D).
"""

from __future__ import annotations

import re
from contextlib import suppress

_REPLACED = (
    ("an ", ""), ("a ", ""), (".$", "$"), ("\\$", ""), (r"\ ", ""), (" ", ""), ("mbox", "text"), (",\\text{and}", ","),
    ("\\text{and}", ","), ("\\text{m}", "\\text{}"), ("\\le", "<"),
)  # fmt: skip
_REMOVED = (
    "square", "ways", "integers", "dollars", "mph", "inches", "ft", "hours", "km", "units", "\\ldots", "sue", "points",
    "feet", "minutes", "digits", "cents", "degrees", "cm", "gm", "pounds", "meters", "meals", "edges", "students",
    "childrentickets", "multiples", "\\text{s}", "\\text{.}", "\\text{\ns}", "\\text{}^2", "\\text{}^3", "\\text{\n}",
    "\\text{}", r"\mathrm{th}", r"^\circ", r"^{\circ}", r"\;", r",\!", "{,}", '"', "\\dots", "\n", "\r", "\f",
)  # fmt: skip
_UNWRAPPED = (
    r"\\text\{\((.*?)\)\}", r"\\text\{(.*?)\}", r"\\textbf\{(.*?)\}", r"\\overline\{(.*?)\}", r"\\boxed\{(.*)\}",
)  # fmt: skip
_STRIPPED = (
    ("\n", ""), ("\\!", ""), ("\\ ", ""), ("\\\\", "\\"), ("\\\\", "\\"), ("tfrac", "frac"), ("dfrac", "frac"),
    ("\\left", ""), ("\\right", ""),
)  # fmt: skip
_STRIPPED_LATER = (
    ("^{\\circ}", ""), ("^\\circ", ""), ("\\$", ""), ("$", ""), ("\\text", ""), ("x\\in", ""), ("\\%", ""), ("%", ""),
    (" .", " 0."), ("{.", "{0."), ("\\cdot", ""), ("infinity", "\\infty"),
)  # fmt: skip


def last_boxed(text: str) -> str | None:
    """Return the content of the last \\boxed{...}, or None if there is none or its brace is not closed."""
    start = max(text.rfind("\\boxed{"), text.rfind("\\fbox{"))
    if start < 0:
        return None
    depth = 0
    for place in range(text.index("{", start), len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return text[text.index("{", start) + 1 : place]
    return None


def final_answer(text: str) -> str:
    """Return the final answer of a solution, normalised unless it is boxed.

    It is the boxed text, or else the first sentence with "final answer" or "answer is", or else the first sentence.
    """
    found = last_boxed(text)
    if found:
        inner = re.fullmatch(r"\{(.*)\}", found)
        return inner[1] if inner else found
    sentences = text.split(".")
    named = (sentence for sentence in sentences if re.search("final answer|answer is", sentence.lower()))
    return _normalise(next(named, sentences[0]))


def _normalise(text: str) -> str:
    for before, after in _REPLACED:
        text = text.replace(before, after)
    for expression in _REMOVED:
        text = text.replace(expression, "")
    for pattern in _UNWRAPPED:
        text = re.sub(pattern, r"\1", text)
    for pattern in (r"finalansweris(.*)", r"answer?is:?(.*)", r"oxed\{(.*?)\}", r"\$(.*?)\$"):
        text = (re.findall(pattern, text) or [text])[-1]
    text = text.strip()
    if "rac" in text and "\\frac" not in text:
        text = text.replace("rac", "\\frac")
    text = re.sub(r"(frac)([^{])(.)", r"frac{\2}{\3}", text)
    text = re.sub(r"(sqrt)([^{])", r"sqrt{\2}", text).replace("$", "")
    return text.replace(",", "") if text.replace(",", "").isdigit() else text


def equivalent(one: str, other: str) -> bool:
    """Return whether two answers are equal in any of OpenCompass' four spellings.

    In this order: without spelling variants, units and meaningless symbols; the same, normalised as a final answer;
    normalised only; as they are.
    """
    with suppress(ValueError):
        plain = _plain(one), _plain(other)
        if plain[0] == plain[1] or _normalise(plain[0]) == _normalise(plain[1]):
            return True
    return _normalise(one) == _normalise(other) or one == other


def _plain(text: str) -> str:
    text = text.strip()
    for before, after in _STRIPPED:
        text = text.replace(before, after)
    text = text.rstrip(".")
    without_unit = re.sub(r"\\text{.*?}$", "", text).strip()
    text = without_unit or text
    for before, after in _STRIPPED_LATER:
        text = text.replace(before, after)
    if "\\infty" not in text:
        text = text.replace("inf", "\\infty")
    text = re.sub(r"\\mbox{.*?}", "", text.replace("and", "").replace("\\mathbf", ""))
    if "j" in text and "i" not in text:
        text = text.replace("j", "i")
    text = re.sub(r"(\d+)\.0+$", r"\1", re.sub(r"(\d+)\.0+([^\d])", r"\1\2", text))
    text = f"0{text}" if text.startswith(".") else text
    name, equals, value = text.partition("=")
    text = value if equals and "=" not in value and len(name) <= 2 else text
    return _slash(_fractions(re.sub(r"\\sqrt(\w+)", r"\\sqrt{\1}", text).replace(" ", "")))


def _fractions(text: str) -> str:
    """Write \\frac1b and \\frac12 as \\frac{1}{b} and \\frac{1}{2}. Return the text unchanged if one is incomplete."""
    first, *parts = text.split("\\frac")
    made = first
    for part in parts:
        if part.startswith("{"):
            made += "\\frac" + part
        elif len(part) < 2:
            return text
        else:
            rest = part[1:] if part[1] == "{" else f"{{{part[1]}}}{part[2:]}"
            made += f"\\frac{{{part[0]}}}{rest}"
    return made


def _slash(text: str) -> str:
    """Write a/b of two integers as \\frac{a}{b}.

    Raises:
        ValueError: There is one slash, but not between integers: as published, there is no such spelling then.
    """
    if text.count("/") != 1:
        return text
    above, below = map(int, text.split("/"))
    return f"\\frac{{{above}}}{{{below}}}" if text == f"{above}/{below}" else text
