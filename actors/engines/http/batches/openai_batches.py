"""OpenAI's batch API: a file of requests is uploaded, and files of results and errors are downloaded."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from actors.engines.http.batches.service import (
    BatchConnection,
    BatchRejected,
    BatchRequest,
    BatchResult,
    parse_lines,
    parse_object,
)
from actors.engines.http.endpoint import describe_error

BOUNDARY = "evolgrid-batch-5d2f1c"
_OPEN = frozenset({"validating", "in_progress", "finalizing", "cancelling"})


class OpenAIBatches:
    """The routes /files and /batches. A batch ends when all results are there, or after 24 hours with those so far."""

    max_requests = 50_000

    def __init__(self, connection: BatchConnection) -> None:
        self._connection = connection

    def translate(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the body as it is."""
        return body

    async def submit(self, requests: Sequence[BatchRequest]) -> str:
        """Upload the requests, which have one route, and return the batch's id."""
        lines = (
            {"custom_id": each.id, "method": "POST", "url": f"/v1{each.path}", "body": each.body} for each in requests
        )
        form = _multipart("".join(json.dumps(line) + "\n" for line in lines).encode())
        answer = await self._connection.call("POST", "/files", form, f"multipart/form-data; boundary={BOUNDARY}")
        batch = {
            "input_file_id": parse_object(answer.body)["id"],
            "endpoint": f"/v1{requests[0].path}",
            "completion_window": "24h",
        }
        return str((await self._connection.call_json("POST", "/batches", batch))["id"])

    async def results(self, batch: str) -> Sequence[BatchResult] | None:
        """Return the results of a batch that has finished.

        Raises:
            BatchRejected: The batch failed its validation.
        """
        state = await self._connection.call_json("GET", f"/batches/{batch}")
        if state.get("status") in _OPEN:
            return None
        files = [state.get(name) for name in ("output_file_id", "error_file_id")]
        if state.get("status") == "failed" or not any(files):
            raise BatchRejected(*_rejection(state))
        answers = [await self._connection.call("GET", f"/files/{file}/content") for file in files if file]
        return [_result(line) for answer in answers for line in parse_lines(answer.body)]


def _result(line: Mapping[str, Any]) -> BatchResult:
    response = cast("dict[str, Any]", line.get("response") or {})
    status = response.get("status_code") or 0
    return BatchResult(str(line.get("custom_id")), int(status), response.get("body") or {"error": line.get("error")})


def _rejection(state: Mapping[str, Any]) -> tuple[str, bool]:
    errors = cast("dict[str, Any]", state.get("errors") or {}).get("data") or []
    message = describe_error(errors) or f"the batch ended as {state.get('status')!r} without results"
    return message, any("limit" in str(error.get("code")) for error in errors)


def _multipart(data: bytes) -> bytes:
    """Return the form of an upload."""
    head = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="batch.jsonl"\r\n'
        "Content-Type: application/jsonl\r\n\r\n"
    )
    return head.encode() + data + f"\r\n--{BOUNDARY}--\r\n".encode()
