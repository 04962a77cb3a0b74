"""Reads structured values from replies, as strictly as `prompts.parse`, and returns rejections as values."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeGuard, TypeVar

from actors.engine import Generation
from pipelines.rows.readers.strict_json import StrictDecoder
from prompts.thoughts import split_thoughts

T = TypeVar("T")
Parser = Callable[[str], "ParsedReply[T]"]
Reader = Callable[[Generation], "ParsedReply[T]"]
_JSON_FENCE = re.compile(r"```json(.*?)```", re.DOTALL)
_PLAIN_FENCE = re.compile(r"\A```\n(.*?)\n```\Z", re.DOTALL)
_SURROGATE = re.compile("[\\ud800-\\udfff]")


@dataclass(frozen=True)
class ParsedReply(Generic[T]):
    """The result of reading a reply: a value and the rules that repaired it, or no value and the reason (a slug)."""

    value: T | None
    rules: tuple[str, ...] = ()
    reason: str = ""

    @property
    def outcome(self) -> str:
        """The outcome as in `prompts.Reply`: 'accepted', 'repaired:<rule>+<rule>' or 'rejected:<reason>'."""
        if self.value is None:
            return f"rejected:{self.reason}"
        return "repaired:" + "+".join(self.rules) if self.rules else "accepted"


def accepted(value: T, *rules: str) -> ParsedReply[T]:
    """Return an accepted value, with the rules that repaired it."""
    return ParsedReply(value, rules)


def rejected(reason: str) -> ParsedReply[Any]:
    """Return a rejection."""
    return ParsedReply(None, reason=reason)


def repaired(reply: ParsedReply[T], before: Iterable[str] = (), after: Iterable[str] = ()) -> ParsedReply[T]:
    """Add rules that were applied before or after to an accepted reply. Return a rejected one unchanged."""
    return reply if reply.value is None else accepted(reply.value, *before, *reply.rules, *after)


def without_thoughts(parse: Parser[T]) -> Parser[T]:
    """Return a parser that first removes the model's thoughts."""

    def read(text: str) -> ParsedReply[T]:
        said = split_thoughts(text)
        if said.unfinished:
            return rejected("unfinished_thinking")
        rules = [] if said.reply == text else ["thinking"]
        return repaired(parse(said.reply.strip()), before=rules) if said.reply.strip() else rejected("empty")

    return read


def reject_truncated(parse: Parser[T]) -> Reader[T]:
    """Return a reader that rejects truncated replies and parses all others."""
    read = without_thoughts(parse)
    return lambda said: rejected("truncated") if said.finish_reason == "length" else read(said.text)


def parse_json(text: str) -> ParsedReply[object]:
    """Read the JSON value in the first ```json fence of a reply.

    Repaired: a value that is the whole reply, without a fence (`bare_json`) or in a plain one (`plain_fence`). Rejected
    as `not_json`: text that is not valid under RFC 8259 (NaN, duplicate keys), null, and more than one value.
    """
    fenced, plain = _JSON_FENCE.search(text), _PLAIN_FENCE.match(text)
    match = fenced or plain
    body, rules = (match[1] if match else text).strip(), [] if fenced else ["plain_fence" if plain else "bare_json"]
    try:
        decoder = StrictDecoder()
        value, end = decoder.decode(body)
    except (json.JSONDecodeError, RecursionError):
        return rejected("not_json")
    if value is None or decoder.problem or end != len(body):
        return rejected("not_json")
    return accepted(value, *rules)


def is_text(value: object) -> TypeGuard[str]:
    """Return whether `value` is text that can be encoded: without lone surrogates."""
    return isinstance(value, str) and not _SURROGATE.search(value)
