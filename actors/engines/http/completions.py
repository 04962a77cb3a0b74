"""Reads chat completions in all the forms that servers give them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, cast

from actors.engine import FinishReason, GenerateRequest, Generation, RequestError
from actors.engines.http.endpoint import describe_error
from actors.engines.http.exchange import AnswerFailure
from actors.engines.http.failures import Failure, embedded_failure, odd
from prompts.thoughts import split_thoughts

CHARS_PER_TOKEN = 4  # an assumption: for limits of tokens per minute, and for servers that do not count
_CUT = frozenset({"length", "max_tokens", "max_output_tokens", "model_length"})
_WITHHELD = frozenset(
    "content_filter content-filter safety refusal recitation prohibited_content blocklist spii image_safety".split()
)
_TOOLS = frozenset({"tool_calls", "function_call", "tool_use", "malformed_function_call"})
_BROKEN = frozenset({"error", "abort", "aborted", "cancelled"})
_THOUGHT_FIELDS = ("reasoning_content", "reasoning")


@dataclass(frozen=True, slots=True)
class ReadReply:
    """A reply and whether its tokens are counted by the server; if not, they are estimated."""

    generation: Generation
    counted: bool


def read_completion(request: GenerateRequest, answer: Mapping[str, Any]) -> ReadReply:
    """Return the reply in a chat completion.

    Raises:
        RequestError: The server withholds the reply ("refused"), it is the call of a tool ("tool_calls"), or it
            contains a lone surrogate, which JSON can express and UTF-8 cannot ("not_unicode").
        AnswerFailure: It is not a completion, or an error. The same request may be answered properly again.
    """
    choice, message = _choice_of(answer)
    finish = _finish_reason(choice, message)
    text, thoughts = _read_content(message.get("content"))
    thoughts = thoughts or next((found for key in _THOUGHT_FIELDS if (found := _as_text(message.get(key)))), "")
    for content in (text, thoughts):
        try:
            content.encode()
        except UnicodeEncodeError:
            raise RequestError("not_unicode", "the reply contains a lone surrogate") from None
    logprobs = _reply_logprobs(choice, text) if request.logprobs else None
    split = split_thoughts(text)
    text, thoughts = split.reply, "\n\n".join(filter(None, (thoughts, split.thoughts)))
    usage = cast("dict[str, Any]", answer.get("usage")) if isinstance(answer.get("usage"), dict) else {}
    tokens_in, tokens_out = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    counted = tokens_in is not None and tokens_out is not None
    if tokens_in is None:
        tokens_in = estimated_tokens(*(content for _, content in request.messages))
    if tokens_out is None:
        tokens_out = estimated_tokens(text, thoughts)
    if logprobs is not None:
        tokens_out = len(logprobs)
    return ReadReply(Generation(request.id, text, finish, tokens_in, tokens_out, logprobs, thoughts), counted)


def estimated_tokens(*texts: str) -> int:
    """Return an estimate of the number of tokens of some texts."""
    return -(-sum(map(len, texts)) // CHARS_PER_TOKEN)


def _choice_of(answer: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the first choice and its message."""
    choices = answer.get("choices")
    first = cast("list[Any]", choices)[0] if isinstance(choices, list) and choices else None
    for holder in (first, answer):
        if isinstance(holder, Mapping) and holder.get("error"):  # pyright: ignore[reportUnknownMemberType]
            _raise_embedded(cast("Mapping[str, Any]", holder))
    if not isinstance(first, dict) or not isinstance(first.get("message"), dict):  # pyright: ignore[reportUnknownMemberType]
        what = "it has no choices" if first is None else "its choice has no message"
        raise AnswerFailure(odd(f"the answer is not a completion: {what}"))
    choice = cast("dict[str, Any]", first)
    return choice, cast("dict[str, Any]", choice["message"])


def _raise_embedded(holder: Mapping[str, Any]) -> NoReturn:
    error = holder["error"]
    code = cast("dict[str, Any]", error).get("code") if isinstance(error, dict) else None
    raise AnswerFailure(embedded_failure(code, describe_error(dict(holder))))


def _finish_reason(choice: Mapping[str, Any], message: Mapping[str, Any]) -> FinishReason:
    given = choice.get("finish_reason")
    reason = given.lower() if isinstance(given, str) else ""
    if reason in _WITHHELD or message.get("refusal"):
        detail = str(message.get("refusal") or "the server's content filter withholds the reply")
        raise RequestError("refused", detail)
    if reason in _TOOLS:
        raise RequestError("tool_calls", "the model calls a tool in place of a reply")
    if reason in _BROKEN:
        raise AnswerFailure(odd(f"the reply ended with the reason '{reason}'"))
    return "length" if reason in _CUT else "stop"


def _read_content(content: Any) -> tuple[str, str]:
    """Return the text and the thoughts in a message's content."""
    if content is None or isinstance(content, str):
        return content or "", ""
    if not isinstance(content, list):
        _raise_content(content)
    texts, thoughts = list[str](), list[str]()
    for part in cast("list[Any]", content):
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict):
            _read_part(cast("dict[str, Any]", part), texts, thoughts)
        else:
            _raise_content(part)
    return "".join(texts), "".join(thoughts)


def _read_part(part: Mapping[str, Any], texts: list[str], thoughts: list[str]) -> None:
    kind = part.get("type", "text")
    if kind in ("text", "output_text") and (text := _as_text(part.get("text"))) is not None:
        texts.append(text)
    elif kind in ("thinking", "reasoning", "redacted_thinking"):
        found = next((part[key] for key in ("thinking", "reasoning", "text", "summary") if part.get(key)), "")
        thoughts.append(_as_text(found) or "")
    elif kind == "refusal":
        raise RequestError("refused", str(part.get("refusal") or "the model refuses"))
    else:
        _raise_content(part)


def _as_text(value: Any) -> str | None:
    """Return a text, or the joined texts of a list of parts; None for anything else."""
    if isinstance(value, str):
        return value
    if not isinstance(value, Sequence):
        return None
    texts = [
        part if isinstance(part, str) else cast("dict[str, Any]", part).get("text")
        for part in cast("Sequence[Any]", value)
        if isinstance(part, str | dict)
    ]
    return "".join(text for text in texts if isinstance(text, str))


def _raise_content(content: Any) -> NoReturn:
    named = cast("dict[str, Any]", content).get("type") if isinstance(content, dict) else type(content).__name__
    raise AnswerFailure(odd(f"the reply's content has a part other than text: {named!r}"))


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _reply_logprobs(choice: Mapping[str, Any], text: str) -> tuple[float, ...]:
    """Return the log-probabilities of a reply's tokens, without the end token, which is not in the text."""
    found = choice.get("logprobs")
    content = cast("dict[str, Any]", found).get("content") if isinstance(found, dict) else None
    if not isinstance(content, list):
        raise AnswerFailure(Failure("rejected", "no_logprobs", NO_REPLY_LOGPROBS))
    entries = cast("list[dict[str, Any]]", content)
    ended = entries and not text.endswith(entries[-1]["token"])
    return tuple(float(entry["logprob"]) for entry in (entries[:-1] if ended else entries))


NO_REPLY_LOGPROBS = "the server gives no log-probabilities of replies, which this step needs"
