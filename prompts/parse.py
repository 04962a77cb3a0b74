"""How replies are read: strict and total, every reply has exactly one outcome."""

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass

PARSER_VERSION = 1

DIFFICULTY_LABELS: tuple[str, ...] = ("very easy", "easy", "medium", "hard", "very hard")

_HEADING = re.compile(
    r"\A\W*(?:the |my )?(?:new|rewritten|created|evolved|final)\s+(?:instruction|prompt)\b[ \t#*]*:[\s#*]*", re.I
)
_FENCE = re.compile(r"\A```[^\n`]*\n(?P<body>.*?)\n?```\Z", re.DOTALL)
_QUOTES = {'"': '"', "'": "'", "\u201c": "\u201d", "\u2018": "\u2019", "`": "`"}
_FRAME = re.compile(
    r"#\s*(?:new|given|rewritten|created)\s+(?:instruction|prompt)\s*#"
    r"|\b(?:given|rewritten|created)\s+(?:instruction|prompt)\b"
    r"|\bnew instruction\s*:",
    re.I,
)


@dataclass(frozen=True)
class Reply:
    """What a reply was read as. `value` is None exactly if `outcome` starts with 'rejected:'.

    `outcome` is 'accepted', 'repaired:<rule>' (rules joined by '+') or 'rejected:<reason>'.
    """

    value: str | None
    outcome: str


def parse(parser: str, reply: str) -> Reply:
    """Read `reply` with the parser of that name; never raises for any reply, ValueError for an unknown parser."""
    if parser not in PARSERS:
        near = difflib.get_close_matches(parser, PARSERS, n=1, cutoff=0.0)
        raise ValueError(f"no parser {parser!r}; did you mean {near[0]!r}?")
    return PARSERS[parser](reply)


def _instruction(reply: str) -> Reply:
    text, rules = _repair(reply.strip())
    if not text:
        return Reply(None, "rejected:empty")
    if _FRAME.search(text):
        return Reply(None, "rejected:leaked_frame")
    return Reply(text, "repaired:" + "+".join(rules) if rules else "accepted")


def _repair(text: str) -> tuple[str, list[str]]:
    rules: list[str] = []
    for rule, strip in (("heading", _strip_heading), ("code_fence", _strip_fence), ("quotes", _strip_quotes)):
        repaired = strip(text).strip()
        if repaired != text:
            text = repaired
            rules.append(rule)
    return text, rules


def _strip_heading(text: str) -> str:
    return _HEADING.sub("", text, count=1)


def _strip_fence(text: str) -> str:
    match = _FENCE.match(text)
    return match["body"] if match else text


def _strip_quotes(text: str) -> str:
    closing = _QUOTES.get(text[:1])
    if closing is None or len(text) < 2 or not text.endswith(closing):
        return text
    inner = text[1:-1]
    # A further quote inside means that the outer two may not belong together, as in: "a" or "b"
    return text if text[0] in inner or closing in inner else inner


def _answer(reply: str) -> Reply:
    text = reply.strip()
    return Reply(text, "accepted") if text else Reply(None, "rejected:empty")


def _difficulty_label(reply: str) -> Reply:
    text = reply.strip()
    if not text:
        return Reply(None, "rejected:empty")
    if text not in DIFFICULTY_LABELS:
        return Reply(None, "rejected:not_a_label")
    return Reply(text, "accepted")


PARSERS: dict[str, Callable[[str], Reply]] = {
    "instruction": _instruction,
    "answer": _answer,
    "difficulty_label": _difficulty_label,
}
