"""A study on a server whose replies are odd now and then: no run ends, no row is lost, failed rows are asked again."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pipelines.errors import StepFailed
from pipelines.execution.runner import Summary, run
from pipelines.store.store import Store
from pipelines.study.file.load import load
from pipelines.study.graph.build import build
from tests.actors.engines.servers.odd_server import ODD, OddServer, completion, error, json_reply, odd_server

pytestmark = pytest.mark.usefixtures("ray_local")
STUDY = """\
study: served
seeds:
  - {name: world, world: {count: 40}}
models:
  a: {source: m, engine: http, cpus: 0.1, options: {body: {role: evolver}}, runtime: {url: URL, retries: 2}}
  b: {source: m, engine: http, cpus: 0.1, options: {body: {role: teacher}}, runtime: {url: URL, retries: 2}}
evolution: {evolvers: [a], rounds: 1, sampling: {temperature: 0.7, max_tokens: 64}}
responses: {teachers: [b], answer_seeds: false}
"""


def go(path: Path, store: Store, retry_failed: bool = False) -> Summary:
    return run(load(path), store, None, Console(file=io.StringIO()), retry_failed=retry_failed)


def accounts(path: Path, store: Store) -> dict[str, Any]:
    loaded = load(path)
    steps = build(loaded.study, loaded.folder).steps.values()
    return {step.kind: store.manifest(step.kind, step.key).account for step in steps}


class Served:
    """Plays an evolver and a teacher; `odd` is asked first."""

    def __init__(self, server: OddServer) -> None:
        self.odd: Any = lambda number, body: None
        server.respond = self.respond

    def respond(self, number: int, body: Any, request: Any) -> Any:
        text = f"Describe the river number {number} and name two of its bridges, please."
        return self.odd(number, body) or json_reply(completion(text))


def test_odd_replies_and_failed_rows(tmp_path: Path) -> None:
    ways = [ODD[way] for way in sorted(ODD) if way != "rate"]
    with odd_server() as server:
        served, path = Served(server), tmp_path / "study.yaml"
        path.write_text(STUDY.replace("URL", server.url))
        store = Store(str(tmp_path / "store"))

        # every 20th reply is odd, in all ways by turns: the run does not end, and all rows are accounted for
        served.odd = lambda number, body: ways[number // 20 % len(ways)]() if number % 20 == 0 else None
        go(path, store)
        found = accounts(path, store)
        assert all(one.rows_in == one.rows_out + one.rejected + one.failed for one in found.values())
        assert found["respond"].rows_in == found["evolve"].rows_out

        # all rows of a step are refused: it ends with an error, and is asked again once the cause is fixed
        other = tmp_path / "other.yaml"
        changed = STUDY.replace("max_tokens: 64", "max_tokens: 65").replace("role: teacher", "role: second")
        other.write_text(changed.replace("URL", server.url))

        def refuse(number: int, body: Any) -> Any:
            if body.get("role") != "second" or "Hi" in json.dumps(body["messages"]):
                return None
            return error(400, "this text is too odd for me")

        served.odd = refuse
        with pytest.raises(StepFailed, match=r"40 of 40 rows of '.*' failed alike: http_400: this text is too odd"):
            go(other, store)

        # every tenth row fails, and is asked again: only those, and the steps made from them follow
        served.odd = lambda number, body: refuse(number, body) if "3 and name" in json.dumps(body) else None
        summary = go(other, store)
        failed = accounts(other, store)["respond"].failed
        assert summary.failed_rows == failed > 0 and not summary.failed_steps
        served.odd = lambda number, body: None
        before = len(server.bodies)
        summary = go(other, store, retry_failed=True)
        assert (summary.executed, summary.failed_rows) == (1, 0)
        assert len(server.bodies) - before == failed
        assert accounts(other, store)["respond"].rows_out == 40
        assert go(other, store, retry_failed=True).executed == 0
