"""Separates the thoughts of a thinking model from its reply, by the tags and channels that models use.

Tags are recognised at the start of a reply only: a reply that mentions such a tag in its text stays unchanged.
"""

from __future__ import annotations

import re
from typing import NamedTuple

TAGS = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "<thought>": "</thought>",
    "<thoughts>": "</thoughts>",
    "<reasoning>": "</reasoning>",
    "<seed:think>": "</seed:think>",
    "[think]": "[/think]",
    "\u25c1think\u25b7": "\u25c1/think\u25b7",
    "<|begin_of_thought|>": "<|end_of_thought|>",
    "<|start_thinking|>": "<|end_thinking|>",
    "<|channel>thought": "<channel|>",
}
"""Opening and closing tags of thoughts, in lower case. They are recognised in any case."""
HARMONY_TOKENS = (
    *("<|start|>", "<|end|>", "<|return|>", "<|call|>"),
    *("<|channel|>", "<|message|>", "<|constrain|>"),
)
_FRAMES = {"<|begin_of_solution|>": "<|end_of_solution|>", "<|start_response|>": "<|end_response|>"}

_FINAL = "<|channel|>final<|message|>"
_OPEN = re.compile("|".join(map(re.escape, TAGS)), re.I)
_CLOSE = re.compile("|".join(map(re.escape, TAGS.values())), re.I)
_LATER_OPEN = re.compile(rf"(?:^|(?<=[.!?]))[ \t]*({_OPEN.pattern})", re.I | re.M)
_CHANNEL = re.compile(
    r"(?:<\|start\|>)?(?:assistant[^<\n]*)?<\|channel\|>(analysis|commentary|final)\b[^<]*"
    r"(?:<\|constrain\|>[^<]*)?<\|message\|>"
)
_CHANNEL_END = re.compile(r"<\|(?:end|return|call|start|channel)\|>")
# what is left of the channels if decoding drops special tokens
_BARE_START = re.compile(r"\A\s*(?:assistant)?analysis")
_MARKS = ("<", "[", "\u25c1")  # tags and channels begin with one of these
_BARE_CHANNEL = re.compile(r"assistant(analysis|commentary|final)(?=\S)")
_OPEN_AT_END = re.compile(rf"(?P<tag>{_OPEN.pattern}|<\|channel\|>analysis<\|message\|>)(?P<space>\s*)\Z", re.I)

Span = tuple[int, int]


class SplitReply(NamedTuple):
    """A model's output: its thoughts, the reply after them, and whether it ends within the thoughts.

    An unfinished output has an empty reply. An output without thoughts is the reply, unchanged.
    """

    thoughts: str
    reply: str
    unfinished: bool


class _Parts(NamedTuple):
    thoughts: list[Span]
    reply: list[Span]
    unfinished: bool


def split_thoughts(text: str, opened: bool = False) -> SplitReply:
    """Separate the thoughts of a model's output from its reply.

    Args:
        opened: Whether the prompt ends with the opening tag, so that the output begins within the thoughts. Without
            it, a single closing tag still ends the thoughts unless it is part of a sentence or of code.
    """
    if not opened and not _BARE_START.match(text) and not any(mark in text for mark in _MARKS):
        return SplitReply("", text, False)
    parts = _parts(text, opened)
    thoughts = (text[start:end].strip() for start, end in parts.thoughts)
    reply = "".join(text[start:end] for start, end in parts.reply)
    return SplitReply("\n\n".join(one for one in thoughts if one), reply, parts.unfinished)


def reply_start(text: str, opened: bool = False) -> int:
    """Return the index of the reply's first character in a model's output; the output's length if there is none."""
    return next((start for start, end in _parts(text, opened).reply if end > start), len(text))


def opens_thoughts(prompt: str) -> bool:
    """Return whether a prompt ends with an opening tag, so that the model's output begins within its thoughts."""
    return _OPEN_AT_END.search(prompt) is not None


def closing_text(prompt: str) -> str:
    """Return what has to follow a prompt so that the reply begins there, after closed thoughts; empty if nothing."""
    if prompt.endswith("<|start|>assistant"):
        return _FINAL
    match = _OPEN_AT_END.search(prompt)
    if match is None:
        return ""
    if match["tag"].startswith("<|channel|>"):
        return f"<|end|><|start|>assistant{_FINAL}"
    return ("\n" if "\n" in match["space"] else "\n\n") + closing_tag(match["tag"]) + "\n\n"


def thoughts_frame(prompt: str, opening: str = "<think>") -> tuple[str, str]:
    """Return what has to come before and after thoughts that follow a prompt.

    `opening` is the model's opening tag, if the prompt does not name one.
    """
    if prompt.endswith("<|start|>assistant"):
        return "<|channel|>analysis<|message|>", f"<|end|><|start|>assistant{_FINAL}"
    match = _OPEN_AT_END.search(prompt)
    if match is None:
        return f"{opening}\n", f"\n{closing_tag(opening)}\n\n"
    if match["tag"].startswith("<|channel|>"):
        return "", f"<|end|><|start|>assistant{_FINAL}"
    return "" if match["space"] else "\n", f"\n{closing_tag(match['tag'])}\n\n"


def closing_tag(opening: str) -> str:
    """Return the closing tag of an opening tag, in upper case if the opening tag is."""
    closing = TAGS[opening.lower()]
    return closing.upper() if opening.isupper() else closing


def _parts(text: str, opened: bool) -> _Parts:
    if match := _CHANNEL.search(text) if opened else _CHANNEL.match(text, _skip_space(text, 0)):
        return _channels(text, match.start())
    if _BARE_START.match(text) and (_BARE_CHANNEL.search(text) or re.match(r"\s*(?:assistant)?analysis[A-Z]", text)):
        return _bare_channels(text)
    return _tagged(text, opened)


def _tagged(text: str, opened: bool) -> _Parts:
    """Return the parts of an output with tags: blocks at its start, and later blocks between sentences or lines."""
    thoughts: list[Span] = []
    position = 0
    while True:
        start = _skip_space(text, position)
        tag = _OPEN.match(text, start)
        if tag or (opened and not thoughts):
            inside = tag.end() if tag else position
            closing = _closing(text, inside, tag[0] if tag else "")
            if closing is None:
                return _Parts([*thoughts, (inside, len(text))], [], True)
        else:
            inside, closing = position, _stray_closing(text, position)
            if closing is None:
                break
        thoughts.append((inside, closing.start()))
        position = closing.end()
    if not thoughts:
        return _Parts([], [(0, len(text))], False)
    return _later_blocks(text, thoughts, *_unframed(text, start))


def _closing(text: str, position: int, tag: str) -> re.Match[str] | None:
    """Return the closing tag that belongs to `tag`, or else any closing tag."""
    own = re.compile(re.escape(TAGS[tag.lower()]), re.I).search(text, position) if tag else None
    return own or _CLOSE.search(text, position)


def _stray_closing(text: str, position: int) -> re.Match[str] | None:
    """Return a closing tag without an opening one, unless it is a word of a sentence or is in code."""
    match = _CLOSE.search(text, position)
    if match is None or _OPEN.search(text, position, match.start()):
        return None
    before = text[position : match.start()]
    line = before.rpartition("\n")[2]
    in_code = before.count("```") % 2 or any(line.count(quote) % 2 for quote in '`"') or line.endswith(("'", "\u201c"))
    in_sentence = line.strip() and line[-1].isspace() and line.rstrip()[-1] not in ".!?:;\u2026)*"
    return None if in_code or in_sentence else match


def _later_blocks(text: str, thoughts: list[Span], start: int, end: int) -> _Parts:
    """Return the parts of a reply `start` to `end` that may have further complete blocks outside of code."""
    reply: list[Span] = []
    position = start
    while True:
        tag = _LATER_OPEN.search(text, position, end)
        while tag and text.count("```", start, tag.start()) % 2:
            tag = _LATER_OPEN.search(text, tag.end(), end)
        closing = re.compile(re.escape(TAGS[tag[1].lower()]), re.I).search(text, tag.end(), end) if tag else None
        if tag is None or closing is None:
            return _Parts(thoughts, [*reply, (position, end)], False)
        reply.append((position, tag.start()))
        thoughts.append((tag.end(), closing.start()))
        position = _skip_space(text, closing.end())


def _unframed(text: str, start: int) -> Span:
    """Return where the reply from `start` begins and ends, without the frame that some models put around it."""
    for opening, closing in _FRAMES.items():
        if text[start : start + len(opening)].lower() == opening:
            inside, end = _skip_space(text, start + len(opening)), len(text.rstrip())
            return inside, end - len(closing) if text[:end].lower().endswith(closing) else len(text)
    return start, len(text)


def _channels(text: str, start: int) -> _Parts:
    """Return the parts of a harmony output: `final` is the reply, the other channels are thoughts."""
    thoughts: list[Span] = [(0, start)] if text[:start].strip() else []
    reply: list[Span] = []
    if thoughts and (end := _CHANNEL_END.search(text, 0, start)):
        thoughts = [(0, end.start())]
    headers = list(_CHANNEL.finditer(text, start))
    for header in headers:
        end = _CHANNEL_END.search(text, header.end())
        span = (header.end(), end.start() if end else len(text))
        (reply if header[1] == "final" else thoughts).append(span)
    return _Parts(thoughts, reply, not reply)


def _bare_channels(text: str) -> _Parts:
    thoughts: list[Span] = []
    reply: list[Span] = []
    first = _BARE_START.match(text)
    assert first is not None
    heads = [("analysis", first.start(), first.end())]
    heads += [(match[1], match.start(), match.end()) for match in _BARE_CHANNEL.finditer(text, first.end())]
    ends = [*(begin for _, begin, _ in heads[1:]), len(text)]
    for (channel, _, inside), end in zip(heads, ends, strict=True):
        (reply if channel == "final" else thoughts).append((inside, end))
    return _Parts(thoughts, reply, not reply)


def _skip_space(text: str, position: int) -> int:
    return len(text) - len(text[position:].lstrip())
