"""Anthropic's batch API of messages. Requests and results are translated from and to the form of the chat API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from actors.engine import RequestError
from actors.engines.http.batches.service import BatchConnection, BatchRequest, BatchResult, parse_lines

KEY_HEADER, HEADERS = "x-api-key", {"anthropic-version": "2023-06-01"}
_SAME = ("model", "max_tokens", "temperature", "top_p", "top_k", "thinking", "metadata")
_FINISH = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "refusal": "content_filter"}
_STATUSES = {"invalid_request_error": 400, "not_found_error": 404, "authentication_error": 401, "billing_error": 402}


class AnthropicBatches:
    """The routes /messages/batches. A batch ends after at most 24 hours; requests without a result have expired."""

    max_requests = 100_000

    def __init__(self, connection: BatchConnection) -> None:
        self._connection = connection

    def translate(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a chat request in the form of the messages API. System turns become the system text.

        Raises:
            RequestError: The request is for the log-probabilities of a text or of the reply, or has a schema.
        """
        unknown = [name for name in ("logprobs", "response_format") if name in body]
        if path != "/chat/completions" or unknown:
            raise RequestError("unsupported", f"the messages API has no {unknown[0] if unknown else path}")
        messages = cast("list[dict[str, str]]", body["messages"])
        system = "\n\n".join(each["content"] for each in messages if each["role"] == "system")
        params = {name: body[name] for name in _SAME if name in body}
        params["messages"] = [each for each in messages if each["role"] != "system"]
        if params.get("top_p") == 1:  # newer models take only one of the two
            del params["top_p"]
        return params | ({"system": system} if system else {})

    async def submit(self, requests: Sequence[BatchRequest]) -> str:
        """Send the requests and return the batch's id."""
        body = {"requests": [{"custom_id": each.id, "params": each.body} for each in requests]}
        return str((await self._connection.call_json("POST", "/messages/batches", body))["id"])

    async def results(self, batch: str) -> Sequence[BatchResult] | None:
        """Return the results of a batch that has finished."""
        state = await self._connection.call_json("GET", f"/messages/batches/{batch}")
        if state.get("processing_status") != "ended":
            return None
        answer = await self._connection.call("GET", f"/messages/batches/{batch}/results")
        return [_result(line) for line in parse_lines(answer.body)]


def _result(line: Mapping[str, Any]) -> BatchResult:
    found = cast("dict[str, Any]", line.get("result") or {})
    if found.get("type") == "succeeded":
        return BatchResult(str(line.get("custom_id")), 200, _completion(found.get("message") or {}))
    error = cast("dict[str, Any]", found.get("error") or {})
    error = cast("dict[str, Any]", error.get("error") or error)
    expired = found.get("type") in ("expired", "canceled")
    status = 0 if expired else _STATUSES.get(str(error.get("type")), 500)
    return BatchResult(str(line.get("custom_id")), status, {"error": error or found})


def _completion(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a reply of the messages API as a chat completion."""
    usage, reason = cast("dict[str, Any]", message.get("usage") or {}), str(message.get("stop_reason"))
    choice = {
        "message": {"role": "assistant", "content": message.get("content")},
        "finish_reason": _FINISH.get(reason, reason),
    }
    counts = {"prompt_tokens": usage.get("input_tokens"), "completion_tokens": usage.get("output_tokens")}
    return {"choices": [choice], "usage": counts}
