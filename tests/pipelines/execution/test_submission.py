"""Studies as jobs on a real head with token authentication: submitted, followed, stopped, continued from anywhere."""

from __future__ import annotations

import json
import logging
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner, Result

from cluster.connection.auth import use_token
from cluster.connection.jobs import Jobs, JobServerUnreachable
from cluster.errors import ClusterError
from pipelines.cli.app import app
from pipelines.errors import InputError
from pipelines.execution.submission import MAX_UPLOAD_BYTES, pack, submit
from pipelines.planning.plan import make_plan
from pipelines.store.store import Store
from pipelines.study.check import check
from pipelines.study.file.load import load
from pipelines.study.file.override import with_seed_file
from pipelines.study.plugins.active import plugin_scope
from prompts.catalog import catalog
from tests.cluster.connection.nodes import Nodes, head
from tests.pipelines.plugins.test_packages import write_package
from tests.support.ports import free_port
from tests.support.studies import scripted_study

SECONDS = 120.0


def write_study(folder: Path, **changes: object) -> Path:
    """A scripted study as a file, which takes its seeds from a file beside it."""
    path = folder / "study.yaml"
    (folder / "seeds.jsonl").write_text("".join(f'{{"instruction": "Say {n}."}}\n' for n in range(6)))
    content = scripted_study(seeds=[{"name": "own", "file": "seeds.jsonl"}]).model_dump(exclude_defaults=True)
    path.write_text(json.dumps(content | changes))  # which YAML is, too
    return path


@pytest.fixture(scope="module")
def server() -> Iterator[Nodes]:
    with head("--num-cpus=2", dashboard=True) as nodes:
        yield nodes


def evolgrid(*words: str) -> Result:
    return CliRunner().invoke(app, words)


def wait_for(jobs: Jobs, job: str, text: str) -> None:
    deadline = time.monotonic() + SECONDS
    while text not in jobs.logs(jobs.find(job)):
        assert time.monotonic() < deadline and not jobs.find(job).is_finished, jobs.logs(jobs.find(job))
        time.sleep(0.5)


def test_a_job_outlives_its_client_is_stopped_from_elsewhere_and_continued(server: Nodes, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    engine = {"engine": "scripted", "cpus": 0.1, "runtime": {"latency": 3.0, "slots": 2}}
    models = {name: engine | {"source": name} for name in ("small", "large", "scorer")}
    slow = write_study(tmp_path, models=models)
    to = ("--address", server.dashboard)
    sent = evolgrid("submit", str(slow), "--store", str(tmp_path / "store"), *to, "--detach")
    assert sent.exit_code == 0, sent.output
    jobs = Jobs(server.dashboard)
    wait_for(jobs, "scripted", "Ray at")
    assert "scripted" in evolgrid("jobs", *to).output
    for command, mark, seconds in ((("logs", "--follow"), b"/logs/tail", 1.0), (("watch",), b"/logs HTTP", 0.0)):
        tunnel = Tunnel(server.dashboard, mark, seconds)
        lost = evolgrid(*command, "scripted", "--address", tunnel.address)
        assert isinstance(lost.exception, ClusterError)
        assert re.search(
            rf"does not answer.*\n.*still running.*evolgrid watch \S+ --address {tunnel.address}", str(lost.exception)
        )
    assert "stop requested" in evolgrid("stop", "scripted", *to).output
    watched = evolgrid("watch", "scripted", *to)
    assert (watched.exit_code, "stopped" in watched.output) == (1, True)

    package = tmp_path / "loud"
    write_package(package)
    calm = {"plugins": ["./loud"], "selection": [{"name": "calm", "by": "shouting", "keep": 0.5}]}
    quick = write_study(tmp_path, **calm)  # the same steps, and a selection by a metric of a package
    done = evolgrid("submit", str(quick), "--store", str(tmp_path / "store"), *to)
    assert done.exit_code == 0, done.output
    assert not logging.getLogger("ray.dashboard.modules.dashboard_sdk").isEnabledFor(logging.INFO)
    assert "steps run" in done.output and "succeeded" in done.output
    assert evolgrid("logs", "scripted", *to).output in done.output
    assert "has already finished" in evolgrid("stop", "scripted", *to).output
    loaded = load(quick)
    assert make_plan(loaded.study, loaded.folder, Store(str(tmp_path / "store"))).pending == ()
    assert len(jobs.all()) == 2
    told = sorted((tmp_path / "store").glob("studies/scripted/events/*.jsonl"))
    assert ["run started" in path.read_text() for path in told] == [True, True]


class Tunnel:
    """A way to a server that closes for good, with all its connections, a moment after a request has said `mark`."""

    def __init__(self, server: str, mark: bytes, seconds: float) -> None:
        self._server, self._mark, self._seconds = urlsplit(server), mark, seconds
        self._sockets = [socket.create_server(("127.0.0.1", 0))]
        self.address = f"http://127.0.0.1:{self._sockets[0].getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._sockets[0].accept()
                far = socket.create_connection((self._server.hostname, self._server.port))
                self._sockets += near, far
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=ends, daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if self._mark in data:
                    threading.Timer(self._seconds, self._close).start()
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def _close(self) -> None:
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


@pytest.mark.parametrize("lost", [OSError("away"), ConnectionResetError("away")])
def test_a_submission_whose_answer_is_lost_is_not_to_be_repeated_blindly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: Exception
) -> None:
    def submit_job(**job: object) -> str:
        raise lost

    monkeypatch.setattr("cluster.connection.jobs._client", lambda address: SimpleNamespace(submit_job=submit_job))
    with pytest.raises(
        JobServerUnreachable, match=r"does not answer \(away\).*study-\w+ may have been started: .*evolgrid jobs"
    ):
        Jobs("http://127.0.0.1:1").submit("study", ["true"], tmp_path)


def test_a_job_that_is_not_there_is_told(server: Nodes) -> None:
    with pytest.raises(ClusterError, match="has no job 'nothing'"):
        Jobs(server.dashboard).find("nothing")


def test_the_message_of_a_failed_job_does_not_repeat_its_output(monkeypatch: pytest.MonkeyPatch) -> None:
    details = SimpleNamespace(submission_id="s-1", metadata={"study": "s"}, status="FAILED", start_time=1, end_time=2)
    details.message = "Job entrypoint command failed with exit code 1, last available logs (truncated):\nx"
    client = SimpleNamespace(list_jobs=lambda: [details])
    monkeypatch.setattr("cluster.connection.jobs._client", lambda address: client)
    (job,) = Jobs("http://127.0.0.1:1").all()
    assert job.message == "Job entrypoint command failed with exit code 1"


def test_a_wrong_token_is_refused(server: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "wrong")
    try:
        with pytest.raises(ClusterError, match="rejects the token"):
            Jobs(server.dashboard)
    finally:
        monkeypatch.undo()
        use_token(required=True)


class Open(BaseHTTPRequestHandler):
    """A job server that asks nobody for a token."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"[]")

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


def test_a_server_that_takes_jobs_from_everyone_is_refused() -> None:
    with HTTPServer(("127.0.0.1", 0), Open) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        with pytest.raises(ClusterError, match="requires no token"):
            Jobs(f"http://127.0.0.1:{server.server_port}")


def test_a_server_that_is_not_there_is_told() -> None:
    with pytest.raises(ClusterError, match="no job server answers"):
        Jobs(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(ClusterError, match="is not the address of a job server"):
        Jobs("auto")


def test_what_the_study_names_beside_it_travels(tmp_path: Path) -> None:
    study, target = write_study(tmp_path), tmp_path / "target"
    (tmp_path / "else.txt").write_text("stays")
    target.mkdir()
    pack(load(study), target)
    assert sorted(path.name for path in target.iterdir()) == ["seeds.jsonl", "study.yaml"]


def test_plug_ins_and_prompts_travel_to_where_the_study_names_them(tmp_path: Path) -> None:
    target = tmp_path / "target"
    texts = {
        "plugins/shout.py": "from pipelines.plugins import PromptText\n"
        "SHOUT = PromptText('shout', '---\\nvariables: instruction\\nparser: answer\\n---\\n{instruction}')\n",
        "prompts/deepen.md": "Deepen: {instruction}",
        "prompts/system.md": "Be brief.",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    responses = {"teachers": ["large"], "system": "prompts/system.md"}
    named = {"plugins": ["plugins/shout.py"], "prompts": {"evol_deepen": "prompts/deepen.md"}, "responses": responses}
    target.mkdir()
    with plugin_scope():
        pack(load(write_study(tmp_path, **named)), target)
        assert {name: (target / name).read_text() for name in texts} == texts
        there = load(target / "study.yaml")
        check(there)
        assert "shout" in catalog()


def test_seeds_that_are_given_travel_and_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study, given, folder = write_study(tmp_path), tmp_path / "else" / "other.jsonl", tmp_path / "folder"
    given.parent.mkdir()
    folder.mkdir()
    given.write_text('{"instruction": "Say 9."}\n')
    sent: list[list[str]] = []
    jobs: Any = SimpleNamespace(submit=lambda name, command, place, modules: sent.append(command) or "id")
    submit(jobs, with_seed_file(load(study), given), "s3://bucket/folder", folder, given)
    words = sent[0]
    monkeypatch.chdir(folder)
    there = with_seed_file(load(Path(words[words.index("run") + 1])), Path(words[words.index("--seeds") + 1]))
    assert Path(*there.study.seeds[0].file or []).read_bytes() == given.read_bytes()


def test_a_file_outside_the_studys_folder_does_not_travel(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "seeds.jsonl").write_text('{"instruction": "Say 1."}\n')
    study = write_study(tmp_path / "inner", seeds=[{"name": "own", "file": "../seeds.jsonl"}])
    with pytest.raises(InputError, match="outside the study's folder"):
        pack(load(study), tmp_path)


def test_too_much_to_travel_is_told(tmp_path: Path) -> None:
    study, target = write_study(tmp_path), tmp_path / "target"
    target.mkdir()
    with (tmp_path / "seeds.jsonl").open("wb") as file:
        file.truncate(MAX_UPLOAD_BYTES + 1)
    with pytest.raises(InputError, match="limit of an upload"):
        pack(load(study), target)


def test_a_store_that_only_this_machine_has_is_refused(tmp_path: Path) -> None:
    jobs: Jobs = None  # pyright: ignore[reportAssignmentType] is not asked
    with pytest.raises(InputError, match="cannot reach the store"):
        submit(jobs, load(write_study(tmp_path)), "evolgrid-store", tmp_path)
