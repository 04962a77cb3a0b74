"""Reads chat completions in all the forms that servers give them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, cast

from actors.engine import Feature, FinishReason, GenerateRequest, Generation, RequestError
from actors.engines.http.echo import NO_PROMPT_LOGPROBS
from actors.engines.http.endpoint import describe_error
from actors.engines.http.exchange import AnswerFailure
from actors.engines.http.failures import Failure, embedded_failure, odd
from prompts.thoughts import split_thoughts

CHARS_PER_TOKEN = 4  # an assumption: for limits of tokens per minute, and for servers that do not count
_CUT = frozenset("length max_tokens max_output_tokens model_length max_length token_limit limit".split())
_WITHHELD = frozenset(
    "content_filter content-filter content_filtered safety refusal recitation prohibited_content blocklist spii"
    " image_safety sensitive guardrail_intervened".split()
)
_TOOLS = frozenset({"tool_calls", "function_call", "tool_use", "malformed_function_call"})
_BROKEN = frozenset("error abort aborted cancelled network_error insufficient_system_resource".split())
_THOUGHT_FIELDS = ("reasoning_content", "reasoning", "reasoning_details", "thinking_blocks", "thinking")
_THOUGHT_KEYS = ("thinking", "reasoning", "text", "summary", "content", "reasoningText", "reasoningContent")
MISSING_LOGPROBS: Mapping[Feature, str] = {
    "prompt_logprobs": NO_PROMPT_LOGPROBS,
    "reply_logprobs": "the server gives no log-probabilities of replies, which 'probabilities' of an evolution needs: "
    "set it to 0 there, or use a server that gives them for this model",
    "top_logprobs": "the server gives no log-probabilities of a reply's alternatives ('top_logprobs'), which a judge's "
    "'verdict: probability' needs: set 'verdict: label' for this judge, or use a server that gives them",
}
Entry = dict[str, Any]
"""What a server says of one token: `token`, `logprob` and, if requested, `top_logprobs`."""


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
    thoughts = thoughts or next((found for key in _THOUGHT_FIELDS if (found := _as_thoughts(message.get(key)))), "")
    for content in (text, thoughts):
        try:
            content.encode()
        except UnicodeEncodeError:
            raise RequestError("not_unicode", "the reply contains a lone surrogate") from None
    entries, after = _token_entries(choice, text, request)
    split = split_thoughts(text)
    text, thoughts = split.reply, "\n\n".join(filter(None, (thoughts, split.thoughts)))
    start = _first_of_reply(entries, text) if thoughts else 0
    usage = cast("dict[str, Any]", answer.get("usage")) if isinstance(answer.get("usage"), dict) else {}
    tokens_in = _count(usage.get("prompt_tokens", usage.get("input_tokens")))
    tokens_out = _count(usage.get("completion_tokens", usage.get("output_tokens")))
    counted = tokens_in is not None and tokens_out is not None
    if tokens_in is None:
        tokens_in = estimated_tokens(*(content for _, content in request.messages))
    if tokens_out is None:
        tokens_out = estimated_tokens(text, thoughts)
    logprobs = tuple(float(entry["logprob"]) for entry in entries[start:]) if request.logprobs else None
    tokens_out = len(entries) if request.logprobs else tokens_out
    alternatives = _alternatives([*entries, *after][start:], request.top_logprobs)
    generation = Generation(request.id, text, finish, tokens_in, tokens_out, logprobs, thoughts, alternatives)
    return ReadReply(generation, counted)


def estimated_tokens(*texts: str) -> int:
    """Return an estimate of the number of tokens of some texts."""
    return -(-sum(map(len, texts)) // CHARS_PER_TOKEN)


def _choice_of(answer: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the first choice and its message."""
    found = answer.get("choices")
    choices = cast("list[Any]", found) if isinstance(found, list) else []
    first = next((each for each in choices if isinstance(each, dict) and each.get("index") == 0), None)  # pyright: ignore
    first = first or next(iter(choices), None)
    for holder in (first, answer):
        if isinstance(holder, Mapping) and holder.get("error"):  # pyright: ignore[reportUnknownMemberType]
            _raise_embedded(cast("Mapping[str, Any]", holder))
    choice = cast("dict[str, Any]", first) if isinstance(first, dict) else {}
    message = choice.get("message")
    if message is None and isinstance(choice.get("text"), str):  # in the form of the route /completions
        message = {"content": choice["text"]}
    if not isinstance(message, dict):
        what = "its choice has no message" if choice else "it has no choices"
        raise AnswerFailure(odd(f"the answer is not a completion: {what}"))
    return choice, cast("dict[str, Any]", message)


def _raise_embedded(holder: Mapping[str, Any]) -> NoReturn:
    error = holder["error"]
    code = cast("dict[str, Any]", error).get("code") if isinstance(error, dict) else None
    raise AnswerFailure(embedded_failure(code, describe_error(dict(holder))))


def _finish_reason(choice: Mapping[str, Any], message: Mapping[str, Any]) -> FinishReason:
    given = choice.get("finish_reason")
    reason = given.lower().removeprefix("finish_reason_") if isinstance(given, str) else ""
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
    if isinstance(content, dict):
        content = [content]
    if not isinstance(content, list):
        _raise_content(content)  # pyright: ignore[reportUnknownArgumentType]
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
    kind = part.get("type", "reasoning" if "reasoningContent" in part else "text")
    if kind in ("text", "output_text") and (text := _as_text(part.get("text"))) is not None:
        texts.append(text)
    elif kind in ("thinking", "reasoning", "redacted_thinking"):
        thoughts.append(_as_thoughts(part))
    elif kind == "refusal":
        raise RequestError("refused", str(part.get("refusal") or "the model refuses"))
    else:
        _raise_content(part)


def _as_thoughts(value: Any) -> str:
    """Return the texts in thoughts, in any of the forms that servers use; encrypted thoughts have none."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(map(_as_thoughts, cast("list[Any]", value)))
    if not isinstance(value, dict):
        return ""
    part = cast("dict[str, Any]", value)
    return next((found for key in _THOUGHT_KEYS if (found := _as_thoughts(part.get(key)))), "")


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
    """Return a number of tokens, which some servers write as 12.0 or "12"; None for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        return None
    return int(value)


def _token_entries(choice: Mapping[str, Any], text: str, request: GenerateRequest) -> tuple[list[Entry], list[Entry]]:
    """Return what the server says of each token of the text, and of the end token, if it requests log-probabilities."""
    if not (request.logprobs or request.top_logprobs):
        return [], []
    found = choice.get("logprobs")
    content = cast("dict[str, Any]", found).get("content") if isinstance(found, dict) else None
    if not isinstance(content, list) or (text and not content):
        raise AnswerFailure(
            Failure(
                "rejected",
                "no_logprobs",
                MISSING_LOGPROBS["top_logprobs" if request.top_logprobs else "reply_logprobs"],
            )
        )
    entries = cast("list[Entry]", content)
    ended = bool(entries) and not text.endswith(entries[-1]["token"])
    return (entries[:-1], entries[-1:]) if ended else (entries, [])


def _first_of_reply(entries: Sequence[Entry], reply: str) -> int:
    """Return the index of the token with which the reply begins, after the tokens of thoughts."""
    tail, wanted = "", reply.rstrip()
    for index in reversed(range(len(entries))):
        tail = f"{entries[index]['token']}{tail}".rstrip()
        if wanted and tail.endswith(wanted):
            return index
    return len(entries) if not wanted else 0


def _alternatives(reply: Sequence[Entry], count: int) -> tuple[tuple[str, float], ...]:
    """Return the `count` most likely first tokens of a reply; none if there is no reply."""
    if not reply or not count:
        return ()
    found = reply[0].get("top_logprobs")
    if not found:
        raise AnswerFailure(Failure("rejected", "no_logprobs", MISSING_LOGPROBS["top_logprobs"]))
    return tuple((str(each["token"]), float(each["logprob"])) for each in found[:count])
