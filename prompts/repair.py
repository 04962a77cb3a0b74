"""What models put around the text that was asked for: each rule takes one kind of it away, and is named."""

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


class UnfinishedThinking(Exception):
    """The model was still thinking when the reply ended."""


def repair(reply: str) -> tuple[str, list[str]]:
    """The text within a reply, stripped, and the rules that changed it. Raises Unfinished."""
    text, rules = strip_thinking(reply)
    for rule, strip in _RULES:
        shorter = strip(text).strip()
        if shorter != text:
            text = shorter
            rules.append(rule)
    return text, rules


def strip_thinking(reply: str) -> tuple[str, list[str]]:
    """The reply, stripped, after its block of thoughts if it has one. Raises Unfinished if that never ends."""
    text = reply.strip()
    if "</think>" in text:
        return text.partition("</think>")[2].strip(), ["thinking"]
    if text.startswith("<think>"):
        raise UnfinishedThinking
    return text, []


def _strip_preamble(text: str) -> str:
    match = _PREAMBLE.match(text)
    # one that quotes the words of the frame is left in place: the reply counts as leaked
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
    # A further quote inside means that the outer two may not belong together, as in: "a" or "b"
    return text if text[0] in inner or closing in inner else inner


_RULES = (
    ("preamble", _strip_preamble),
    ("heading", _strip_heading),
    ("code_fence", _strip_fence),
    ("quotes", _strip_quotes),
)
