"""Removes what models put around the requested text. Each named rule removes one kind of wrapper."""

import re

from prompts.thoughts import split_thoughts

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
    """The reply ends within the model's block of thoughts."""


def repair(reply: str) -> tuple[str, list[str]]:
    """Return the requested text of a reply, stripped, and the names of the rules that changed it.

    Raises:
        UnfinishedThinking: The reply ends within a block of thoughts.
    """
    text, rules = strip_thinking(reply)
    for rule, strip in _RULES:
        shorter = strip(text).strip()
        if shorter != text:
            text = shorter
            rules.append(rule)
    return text, rules


def strip_thinking(reply: str) -> tuple[str, list[str]]:
    """Return the reply, stripped and without its block of thoughts, and the rule "thinking" if it had one.

    Raises:
        UnfinishedThinking: The reply ends within a block of thoughts.
    """
    _, text, unfinished = split_thoughts(reply)
    if unfinished:
        raise UnfinishedThinking
    return text.strip(), [] if text == reply else ["thinking"]


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
