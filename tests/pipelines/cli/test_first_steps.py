"""From a file of instructions and a model server to previewed rows, with three commands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.actors.engines.servers.in_thread import served
from tests.support.command_line import evolgrid

LONG, REFUSED = "Name 4 birds.", "Name 7 birds."


@dataclass
class Server:
    """A stand-in of a model server. It notes the requests of chats."""

    asked: list[str] = field(default_factory=list[str])

    async def models(self, request: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "org/writer"}, {"id": "org/teacher"}, {"id": "text-embedding"}]})

    async def chat(self, request: web.Request) -> web.Response:
        body = await request.json()
        text = body["messages"][-1]["content"]
        self.asked.append(text)
        return web.json_response(completion(text))


def completion(text: str) -> dict[str, Any]:
    """A reply: a rewritten instruction, a level of difficulty or none, or an answer, also cut off or a refusal."""
    task = re.search(r"Name \d+ birds", text)
    reply, finish = f"{task[0] if task else 'Name birds'} that swim. Say where each of them lives.", "stop"
    if "Return only the label" in text:
        reply = "hm, hard to say" if REFUSED in text else "easy"
    elif text.startswith("Answer accurately"):
        reply = "I'm sorry, but I can't help with that." if text.endswith(REFUSED) else "A wren and an owl."
        finish = "length" if text.endswith(LONG) else "stop"
    message = {"role": "assistant", "content": reply}
    usage = {"prompt_tokens": 30, "completion_tokens": 10, "total_tokens": 40}
    return {"choices": [{"index": 0, "message": message, "finish_reason": finish}], "usage": usage}


@pytest.fixture
def server() -> Iterator[tuple[Server, str]]:
    stand_in, app = Server(), web.Application()
    app.router.add_get("/v1/models", stand_in.models)
    app.router.add_post("/v1/chat/completions", stand_in.chat)
    with served(app) as url:
        yield stand_in, url


def test_three_commands_lead_from_a_file_to_previewed_rows(tmp_path: Path, server: tuple[Server, str]) -> None:
    stand_in, url = server
    (tmp_path / "birds.csv").write_text("nr,task\n" + "".join(f"{n},Name {n} birds.\n" for n in range(10)))

    made = evolgrid("init", "--data", "birds.csv", "--endpoint", url, folder=tmp_path)
    assert made.returncode == 0, made.stderr
    assert stand_in.asked == []
    checked = evolgrid("validate", "endpoint.yaml", folder=tmp_path)
    assert checked.stdout.startswith("endpoint.yaml: OK. 10 seeds, 2 models, "), checked.stderr
    command = made.stdout.splitlines()[-1].removeprefix("Next: evolgrid ").split()
    shown = evolgrid(*command, folder=tmp_path)
    assert shown.returncode == 0, shown.stderr

    for text in (
        "1/5",
        "Name 0 birds.",
        "Name 8 birds.",
        "Name 8 birds that swim",
        "writer",
        "teacher",
        "difficulty easy",
    ):
        assert text in shown.stdout, text
    assert "The whole run (10 seeds), from these rows" in shown.stdout
    assert shown.stdout.splitlines()[-1] == "Next: evolgrid run endpoint.yaml"
    page = (tmp_path / "evolgrid-store/studies/endpoint/preview.html").read_text()
    assert "<ins>" in page and "Name 8 birds." in page and "http" not in page.replace(url, "")
    asked = len(stand_in.asked)
    assert asked > 0 and f"{asked} requests in" in shown.stdout.replace("\n", " ")

    again = evolgrid("preview", "endpoint.yaml", "-n", "5", folder=tmp_path)
    assert len(stand_in.asked) == asked and f"{asked} answered before" in again.stdout


def test_cut_off_answers_refusals_and_failures_are_shown(tmp_path: Path, server: tuple[Server, str]) -> None:
    _, url = server
    (tmp_path / "birds.csv").write_text(f"task\n{LONG}\n{REFUSED}\nName 8 birds.\n")
    evolgrid("init", "--data", "birds.csv", "--endpoint", url, folder=tmp_path)
    text = (tmp_path / "endpoint.yaml").read_text().replace("max_length: 8192", "price: {input: 1, output: 2}")
    (tmp_path / "endpoint.yaml").write_text(text)
    shown = evolgrid("preview", "endpoint.yaml", "-n", "3", folder=tmp_path).stdout
    assert "[cut off]" in shown and "[refusal]" in shown
    assert "rejected not_a_label (the model wrote: hm, hard to say)" in shown
    assert "% cut off" in shown and "% refusals" in shown and "$" in shown
    page = (tmp_path / "evolgrid-store/studies/endpoint/preview.html").read_text()
    assert "cut off" in page and "refusal" in page


def test_a_server_that_is_gone_is_one_line(tmp_path: Path, server: tuple[Server, str]) -> None:
    (tmp_path / "birds.csv").write_text("task\nName 8 birds.\n")
    evolgrid("init", "--data", "birds.csv", "--endpoint", server[1], folder=tmp_path)
    text = (tmp_path / "endpoint.yaml").read_text().replace(server[1], "http://127.0.0.1:9/v1")
    (tmp_path / "endpoint.yaml").write_text(text.replace('url: "', 'retries: 0, url: "'))
    done = evolgrid("preview", "endpoint.yaml", folder=tmp_path)
    assert done.returncode == 1 and "127.0.0.1:9" in done.stderr and "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1
