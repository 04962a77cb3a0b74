"""A server whose replies are odd in one of many ways: to every n-th request, to one prompt, or to all."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

from tests.actors.engines.servers.in_thread import served

Body = dict[str, Any]
TEXT = "The river is long."
MARK = "(odd)"  # in a prompt: the reply to it is odd


def usage(**changes: Any) -> Body:
    return {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7} | changes


def completion(message: Any = TEXT, finish: Any = "stop", **more: Any) -> Body:
    content = message if isinstance(message, dict) else {"role": "assistant", "content": message}
    return {"choices": [{"index": 0, "message": content, "finish_reason": finish}], "usage": usage()} | more


def without(body: Body, key: str) -> Body:
    return {name: value for name, value in body.items() if name != key}


def json_reply(body: Any, status: int = 200, **headers: str) -> web.Response:
    return web.json_response(body, status=status, headers=headers)


def error(status: int, message: str, **more: Any) -> web.Response:
    return json_reply({"error": {"message": message} | more}, status)


def events(*deltas: Body) -> web.Response:
    chunks = [json.dumps({"choices": [{"index": 0, "delta": delta}]}) for delta in deltas]
    text = ": ping\n\n" + "".join(f"data: {chunk}\n\n" for chunk in (*chunks, "[DONE]"))
    return web.Response(text=text, content_type="text/event-stream")


PART = {"type": "text", "text": TEXT}
PLAN = {"text": "Let me think."}
DETAIL = {"type": "reasoning.summary", "summary": "Let me think."}
THOUGHT = {"type": "thinking", "thinking": [{"type": "text", "text": "Let me think."}]}
CALL = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
# ways in which a reply is odd, but has a text
READABLE: dict[str, Callable[[], web.Response]] = {
    "parts": lambda: json_reply(completion([THOUGHT, PART])),
    "text parts": lambda: json_reply(completion([{"type": "text", "text": "The river"}, {"text": " is long."}])),
    "bare parts": lambda: json_reply(completion(["The river", " is long."])),
    "reasoning": lambda: json_reply(completion({"content": TEXT, "reasoning_content": "Let me think."})),
    "other reasoning": lambda: json_reply(completion({"content": TEXT, "reasoning": "Let me think."})),
    "reasoning details": lambda: json_reply(completion({"content": TEXT, "reasoning_details": [DETAIL]})),
    "thinking blocks": lambda: json_reply(completion({"content": TEXT, "thinking_blocks": [THOUGHT]})),
    "reasoning object": lambda: json_reply(completion({"content": TEXT, "reasoning": {"content": "Let me think."}})),
    "untyped reasoning": lambda: json_reply(completion([{"reasoningContent": {"reasoningText": PLAN}}, PART])),
    "thoughts in the text": lambda: json_reply(completion(f"<think>\nLet me think.\n</think>\n\n{TEXT}")),
    "no usage": lambda: json_reply(without(completion(), "usage")),
    "null usage": lambda: json_reply(completion(usage=None)),
    "partial usage": lambda: json_reply(completion(usage=usage(completion_tokens=None))),
    "counts as floats": lambda: json_reply(completion(usage=usage(prompt_tokens=3.0, completion_tokens=4.0))),
    "counts as texts": lambda: json_reply(completion(usage=usage(prompt_tokens="3", completion_tokens="4"))),
    "counts by other names": lambda: json_reply(completion(usage={"input_tokens": 3, "output_tokens": 4})),
    "counts that are none": lambda: json_reply(completion(usage=usage(prompt_tokens=float("nan")))),
    "no total": lambda: json_reply(completion(usage=without(usage(), "total_tokens"))),
    "null finish": lambda: json_reply(completion(finish=None)),
    "no finish": lambda: json_reply({"choices": [{"message": {"content": TEXT}}]}),
    "eos finish": lambda: json_reply(completion(finish="eos_token")),
    "cut": lambda: json_reply(completion(finish="max_tokens")),
    "prefixed cut": lambda: json_reply(completion(finish="FINISH_REASON_MAX_TOKENS")),
    "one part": lambda: json_reply(completion({"content": PART})),
    "text of a choice": lambda: json_reply({"choices": [{"index": 0, "text": TEXT}]}),
    "two choices": lambda: json_reply({"choices": [{"index": 1, "text": "other"}, {"index": 0, "text": TEXT}]}),
    "created": lambda: json_reply(completion(), 201),
    "comments before": lambda: web.Response(text="\n: PROCESSING\n\n: PROCESSING\n" + json.dumps(completion())),
    "events": lambda: events({"role": "assistant"}, {"content": "The river"}, {"content": " is long."}),
    "a list": lambda: json_reply([completion()]),
    "byte order mark": lambda: web.Response(body=b"\xef\xbb\xbf" + json.dumps(completion()).encode()),
    "nul": lambda: json_reply(completion(f"{TEXT}\0")),
    "no content": lambda: json_reply(completion({"role": "assistant"}, "length")),
    "null content": lambda: json_reply(completion({"content": None, "reasoning_content": "Let me"}, "length")),
}
# ways in which there is no reply, and the reason of the failed row
UNREADABLE: dict[str, tuple[str, Callable[[], web.Response]]] = {
    "other parts": ("not_a_completion", lambda: json_reply(completion([{"type": "image_url", "image_url": "x"}]))),
    "a number": ("not_a_completion", lambda: json_reply(completion(5))),
    "no choices": ("not_a_completion", lambda: json_reply({"choices": [], "usage": usage()})),
    "null choices": ("not_a_completion", lambda: json_reply({"choices": None})),
    "no message": ("not_a_completion", lambda: json_reply({"choices": [{"index": 0}]})),
    "not JSON": ("not_a_completion", lambda: web.Response(text="<html>busy</html>")),
    "nothing": ("not_a_completion", lambda: web.Response(text="")),
    "text": ("not_a_completion", lambda: json_reply("done")),
    "not UTF-8": ("not_a_completion", lambda: web.Response(body=b'{"choices": "\xff"}')),
    "flagged in 200": ("refused", lambda: error(200, "This content was flagged", code=502)),
    "error in 200": ("not_a_completion", lambda: error(200, "Provider returned error", code=502)),
    "error text in 200": ("not_a_completion", lambda: json_reply({"error": "Something went wrong"})),
    "error in a choice": (
        "not_a_completion",
        lambda: json_reply({"choices": [{"error": {"message": "broken"}, "finish_reason": "error"}]}),
    ),
    "no resources": ("not_a_completion", lambda: json_reply(completion("", "insufficient_system_resource"))),
    "broken off": ("not_a_completion", lambda: json_reply(completion(finish="error"))),
    "a tool": ("tool_calls", lambda: json_reply(completion({"content": None, "tool_calls": CALL}, "tool_calls"))),
    "withheld": ("refused", lambda: json_reply(completion("", "content_filter"))),
    "safety": ("refused", lambda: json_reply(completion({"content": None}, "SAFETY"))),
    "refusal": ("refused", lambda: json_reply(completion({"content": None, "refusal": "I cannot."}))),
    "surrogate": (
        "not_unicode",
        lambda: web.Response(text='{"choices": [{"message": {"content": "\\ud83d"}, "finish_reason": "stop"}]}'),
    ),
    "moderation": ("refused", lambda: error(403, "Your input was flagged by moderation")),
    "data policy": ("http_404", lambda: error(404, "No endpoints found matching your data policy")),
    "filter": ("refused", lambda: error(400, "The response was filtered: content management policy")),
    "rejected": ("http_400", lambda: error(400, "I do not like this prompt")),
    "invalid": ("http_422", lambda: json_reply({"detail": [{"loc": ["body", "messages"], "msg": "bad"}]}, 422)),
    "inspection": ("refused", lambda: error(400, "Input data may contain inappropriate content.")),
    "too long for llama.cpp": ("too_long", lambda: error(400, "the request exceeds the available context size")),
    "too long for TGI": ("too_long", lambda: error(422, "`inputs` tokens + `max_new_tokens` must be <= 2048")),
    "too long": ("too_long", lambda: error(400, "This model's maximum context length is 8 tokens")),
    "crash": ("http_500", lambda: error(500, "Internal server error")),
    "bad gateway": ("http_502", lambda: web.Response(text="<html>Bad gateway</html>", status=502)),
    "overloaded": ("http_503", lambda: error(503, "Overloaded")),
    "rate": ("http_429", lambda: error(429, "Rate limit reached")),
    "redirect": ("http_302", lambda: web.Response(status=302, headers={"Location": "https://elsewhere/login"})),
}
ODD = READABLE | {name: reply for name, (_, reply) in UNREADABLE.items()}


class OddServer:
    """Answers `way` to requests for which `is_odd(number, body)`, and a plain completion to all others."""

    def __init__(self) -> None:
        self.url = ""
        self.respond: Callable[[int, Body, web.Request], web.Response | None] = lambda number, body, request: None
        self.bodies: list[Body] = []
        self.requests: list[web.Request] = []
        self.models: Callable[[], web.Response] = lambda: json_reply({"data": [{"id": "m"}]})

    def odd_for_mark(self, way: str) -> None:
        """Be odd in this way to prompts with MARK."""
        self.respond = lambda number, body, request: ODD[way]() if MARK in json.dumps(body) else None

    def odd_every(self, way: str, every: int) -> None:
        """Be odd in this way to every n-th request."""
        self.respond = lambda number, body, request: ODD[way]() if number % every == 0 else None

    def odd_always(self, way: str) -> None:
        """Be odd in this way to all requests."""
        self.respond = lambda number, body, request: ODD[way]()

    async def post(self, request: web.Request) -> web.Response:
        """Answer one request."""
        body = await request.json()
        self.bodies.append(body)
        self.requests.append(request)
        return self.respond(len(self.bodies), body, request) or json_reply(completion())

    async def get(self, request: web.Request) -> web.Response:
        """Answer with the list of models."""
        return self.models()


@contextmanager
def odd_server(tls: ssl.SSLContext | None = None) -> Iterator[OddServer]:
    """A server in a thread of this process, for https with a context `tls`."""
    server = OddServer()
    app = web.Application()
    app.router.add_post("/{path:.*}", server.post)
    app.router.add_get("/{path:.*}", server.get)
    with served(app, tls) as server.url:
        yield server
