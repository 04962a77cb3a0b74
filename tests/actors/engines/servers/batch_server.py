"""A server with OpenAI's and Anthropic's batch APIs. A test decides when batches end, and how requests are answered."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.actors.engines.servers.in_thread import served

Body = dict[str, Any]
Answer = tuple[int, Body]  # a status and a body; status 0: the request expires


def plain(text: str) -> Answer:
    """A chat completion whose reply is the prompt in capitals."""
    message = {"role": "assistant", "content": text.upper()}
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    return 200, {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage}


@dataclass
class Batch:
    """A batch that was sent: its requests by custom id, and whether it was rejected."""

    requests: dict[str, Body]
    rejected: Body | None = None


@dataclass
class BatchServer:
    """`ended` says whether batches have finished, `respond` answers a prompt, `reject` rejects a batch."""

    url: str = ""
    ended: bool = True
    polls: int = 0
    batches: list[Batch] = field(default_factory=list[Batch])
    headers: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    respond: Callable[[str], Answer] = plain
    reject: Callable[[Batch], Body | None] = lambda batch: None
    files: list[bytes] = field(default_factory=list[bytes])

    def prompts(self) -> list[list[str]]:
        """The prompts of each batch."""
        return [[body["messages"][-1]["content"] for body in batch.requests.values()] for batch in self.batches]

    def add(self, requests: dict[str, Body]) -> int:
        batch = Batch(requests)
        batch.rejected = self.reject(batch)
        self.batches.append(batch)
        return len(self.batches) - 1

    async def models(self, request: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "m"}]})

    async def upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        assert form["purpose"] == "batch"
        uploaded = form["file"]
        assert isinstance(uploaded, web.FileField)
        self.files.append(uploaded.file.read())
        return web.json_response({"id": f"file-{len(self.files) - 1}"})

    async def create(self, request: web.Request) -> web.Response:
        body = await request.json()
        lines = map(json.loads, self.files[int(body["input_file_id"].removeprefix("file-"))].splitlines())
        requests = {line["custom_id"]: line["body"] for line in lines if line["url"] == body["endpoint"]}
        return web.json_response({"id": f"batch-{self.add(requests)}", "status": "validating"})

    async def state(self, request: web.Request) -> web.Response:
        self.polls += 1
        name = request.match_info["id"]
        if not self.ended:
            return web.json_response({"id": name, "status": "in_progress"})
        if rejected := self.batches[int(name.removeprefix("batch-"))].rejected:
            return web.json_response({"id": name, "status": "failed", "errors": {"data": [rejected]}})
        files = {"output_file_id": f"out-{name}", "error_file_id": f"err-{name}"}
        return web.json_response({"id": name, "status": "completed"} | files)

    async def content(self, request: web.Request) -> web.Response:
        kind, _, number = request.match_info["id"].partition("-batch-")
        lines = list[str]()
        for name, body in self.batches[int(number)].requests.items():
            status, answer = self.respond(body["messages"][-1]["content"])
            if status and (status == 200) == (kind == "out"):
                response = {"status_code": status, "body": answer}
                lines.append(json.dumps({"custom_id": name, "response": response, "error": None}))
        return web.Response(text="\n".join(reversed(lines)))

    async def messages(self, request: web.Request) -> web.Response:
        self.headers.append(dict(request.headers))
        body = await request.json()
        number = self.add({each["custom_id"]: each["params"] for each in body["requests"]})
        return web.json_response({"id": f"batch-{number}", "processing_status": "in_progress"})

    async def messages_state(self, request: web.Request) -> web.Response:
        status = "ended" if self.ended else "in_progress"
        return web.json_response({"id": request.match_info["id"], "processing_status": status})

    async def messages_results(self, request: web.Request) -> web.Response:
        batch = self.batches[int(request.match_info["id"].removeprefix("batch-"))]
        lines = list[str]()
        for name, body in batch.requests.items():
            status, answer = self.respond(body["messages"][-1]["content"])
            text = answer["choices"][0]["message"]["content"] if status == 200 else ""
            content = [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": text}]
            message = {
                "content": content,
                "stop_reason": "max_tokens",
                "usage": {"input_tokens": 5, "output_tokens": 6},
            }
            failed = {"type": "errored", "error": {"type": "error", "error": answer.get("error")}}
            expired = {"type": "expired"}
            result = {"type": "succeeded", "message": message} if status == 200 else failed if status else expired
            lines.append(json.dumps({"custom_id": name, "result": result}))
        return web.Response(text="\n".join(lines))


@contextmanager
def batch_server() -> Iterator[BatchServer]:
    """A server in a thread of this process."""
    server = BatchServer()
    app = web.Application(client_max_size=2**26)
    app.router.add_get("/v1/models", server.models)
    app.router.add_post("/v1/files", server.upload)
    app.router.add_get("/v1/files/{id}/content", server.content)
    app.router.add_post("/v1/batches", server.create)
    app.router.add_get("/v1/batches/{id}", server.state)
    app.router.add_post("/v1/messages/batches", server.messages)
    app.router.add_get("/v1/messages/batches/{id}", server.messages_state)
    app.router.add_get("/v1/messages/batches/{id}/results", server.messages_results)
    with served(app) as server.url:
        yield server
