"""Removes what models put around the requested text. Each named rule removes one kind of wrapper."""

import re

_PREAMBLE = re.compile(
    r"\A(?:sure|certainly|of course|here)\b[^\n]{0,100}?\b(?:instruction|prompt|version)\b[^\n]{0,40}:[ \t*]*\n+", re.I
)
_OWN_FRAME = re.compile(r"\b(?:new|given|rewritten|created)\s+(?:instruction|prompt)\b", re.I)
_HEADING = re.compile(
    r"\A\W*(?:the |my )?(?:new|rewritten|created|evolved|final)\s+(?:instruction|prompt)\b[ \t#*]*:[\s#*]*", re.I
)
_FENCE = re.compile(r"\A```[^\n`]*\n(?P<body>.*?)\n?```\Z", re.DOTALL)
_QUOTES = {'"': '"', "'": "'", "\u201c": "\u201d", "\u2018": "\u2019", "`": "`"}


def repair(text: str) -> tuple[str, list[str]]:
    """Return the requested text of a reply, stripped, and the names of the rules that changed it."""
    text, rules = text.strip(), list[str]()
    for rule, strip in _RULES:
        shorter = strip(text).strip()
        if shorter != text:
            text = shorter
            rules.append(rule)
    return text, rules


def _strip_preamble(text: str) -> str:
    match = _PREAMBLE.match(text)
    # a preamble that quotes the prompt's frame stays, so that the reply is rejected as a leaked frame
    return text if match is None or _OWN_FRAME.search(match[0]) else text[match.end() :]


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
    # with another quote inside, the outer two may not belong together, as in: "a" or "b"
    return text if text[0] in inner or closing in inner else inner


_RULES = (
    ("preamble", _strip_preamble),
    ("heading", _strip_heading),
    ("code_fence", _strip_fence),
    ("quotes", _strip_quotes),
)
