"""The command: its port, its end, and what it prints."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.store.store import Store
from pipelines.ui.server import HOST, prepare


def test_the_next_free_port_is_taken(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        said: list[str] = []
        page = prepare(Store(str(tmp_path)), port, said.append)
        with page.listener:
            found = page.listener.getsockname()[1]
            assert port < found < port + 50
            assert said == [f"port {port} is in use: serving on {found}"]
            assert page.url.startswith(f"http://127.0.0.1:{found}/?token=")


def test_tokens_differ_and_are_long(tmp_path: Path) -> None:
    pages = [prepare(Store(str(tmp_path)), 0) for _ in range(2)]
    for page in pages:
        page.listener.close()
    tokens = {page.url.partition("token=")[2] for page in pages}
    assert len(tokens) == 2 and min(map(len, tokens)) >= 32


@pytest.mark.timeout(200)
def test_ctrl_c_ends_the_page_quietly_also_with_an_open_stream(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pipelines.cli", "ui", str(tmp_path), "--no-browser", "--port", "0"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1"}
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    assert running.stdout
    try:
        found = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/\?token=(\S+)\n", running.stdout.readline())
        assert found and running.stdout.readline() == "Ctrl-C ends it.\n"
        stream = http.client.HTTPConnection(HOST, int(found[1]), timeout=100)
        stream.request("GET", f"/api/changes?token={found[2]}")
        answer = stream.getresponse()
        assert answer.status == 200 and answer.readline() == b"event: change\r\n"
        running.send_signal(signal.SIGINT)
        rest, _ = running.communicate(timeout=60)
        assert rest == ""
        assert running.returncode == 0
        stream.close()
    finally:
        running.kill()
        running.wait()


def test_a_missing_store_is_an_error_of_one_line(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from pipelines.cli.app import app
    from pipelines.errors import InputError

    result = CliRunner().invoke(app, ["ui", str(tmp_path / "nowhere"), "--no-browser"])
    assert isinstance(result.exception, InputError) and "\n" not in str(result.exception)
