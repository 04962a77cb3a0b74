"""A stand-in of the hub's HTTP API, as far as huggingface_hub calls it to create repositories and upload files."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from huggingface_hub import constants

TOKEN = "hf_" + "token0of0the0tests0" * 2
ENDPOINT = constants.ENDPOINT
LARGE = 2_000  # bytes: from here on, files are uploaded before the commit
_REPOSITORY = r"(?P<kind>models|datasets)/(?P<name>[^/]+/[^/]+)"


@dataclass
class HubRepository:
    """The visibility of a repository, its files, and its commits: the paths that each one changes."""

    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    commits: list[list[str]] = field(default_factory=list)


@dataclass
class HubServer:
    """The hub's state. TOKEN may write to `owners`. `broken_uploads` says after how many large files uploads fail."""

    url: str = ""
    owners: tuple[str, ...] = ("my-org",)
    repositories: dict[str, HubRepository] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    uploads: Counter[str] = field(default_factory=Counter)
    requests: list[str] = field(default_factory=list)
    broken_uploads: int | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


@contextmanager
def hub_server(monkeypatch: pytest.MonkeyPatch) -> Generator[HubServer]:
    """Serve an empty hub, to which huggingface_hub in this process talks, with TOKEN, in place of the real one."""
    hub = HubServer()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.removeprefix(ENDPOINT)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + template)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # Xet has a server and a protocol of its own
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._route("GET")

    def do_HEAD(self) -> None:
        self._route("HEAD")

    def do_POST(self) -> None:
        self._route("POST")

    def do_PUT(self) -> None:
        self._route("PUT")

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""

    def _route(self, method: str) -> None:
        path = self.path.partition("?")[0]
        body = self._body()
        self.hub.requests.append(f"{method} {path}")
        if path.startswith("/upload/"):  # signed addresses, to which no token is sent
            return self._upload(path.removeprefix("/upload/"), body)
        if path == "/api/validate-yaml":
            return self._answer(200, {"errors": [], "warnings": []})
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._answer(401, {"error": "Invalid username or password."})
        with self.hub.lock:
            if path == "/api/repos/create":
                return self._create(json.loads(body))
            if found := re.fullmatch(rf"/api/{_REPOSITORY}(/revision/main)?", path):
                return self._info(_key(found))
            if found := re.fullmatch(rf"/api/{_REPOSITORY}/preupload/main", path):
                return self._preupload(_key(found), json.loads(body))
            if found := re.fullmatch(rf"/api/{_REPOSITORY}/commit/main", path):
                return self._commit(_key(found), [json.loads(line) for line in body.splitlines()])
            if path.endswith(".git/info/lfs/objects/batch"):
                return self._batch(json.loads(body))
        return self._answer(404, {"error": "Entry not found"})

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = list[bytes]()
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _create(self, asked: dict[str, Any]) -> None:
        name = f"{asked['organization']}/{asked['name']}"
        kind = asked.get("type") or "model"
        url = f"{self.hub.url}/{'datasets/' if kind == 'dataset' else ''}{name}"
        if asked["organization"] not in self.hub.owners:
            return self._answer(403, {"error": f"You don't have the rights to create a {kind} under this namespace"})
        if f"{kind}s/{name}" in self.hub.repositories:
            return self._answer(409, {"error": "You already created this repo", "url": url})
        self.hub.repositories[f"{kind}s/{name}"] = HubRepository(asked.get("visibility") == "private")
        return self._answer(200, {"url": url})

    def _info(self, key: str) -> None:
        repository = self.hub.repositories.get(key)
        if repository is None:
            return self._answer(404, {"error": "Repository not found"})
        files = [{"rfilename": path} for path in repository.files]
        name = key.partition("/")[2]
        return self._answer(
            200, {"id": name, "private": repository.private, "sha": f"{len(repository.commits):040}", "siblings": files}
        )

    def _preupload(self, key: str, asked: dict[str, Any]) -> None:
        known = self.hub.repositories[key].files
        modes = [
            {
                "path": one["path"],
                "uploadMode": "lfs" if one["size"] >= LARGE else "regular",
                "shouldIgnore": False,
                "oid": _oid(known[one["path"]]) if one["path"] in known else None,
            }
            for one in asked["files"]
        ]
        return self._answer(200, {"files": modes})

    def _batch(self, asked: dict[str, Any]) -> None:
        def action(one: dict[str, Any]) -> dict[str, Any]:
            upload = {"upload": {"href": f"{self.hub.url}/upload/{one['oid']}"}}
            return one | ({} if one["oid"] in self.hub.objects else {"actions": upload})

        return self._answer(200, {"transfer": "basic", "objects": [action(one) for one in asked["objects"]]})

    def _upload(self, oid: str, body: bytes) -> None:
        with self.hub.lock:
            left = self.hub.broken_uploads
            if left is not None:
                if left == 0:
                    return self._answer(410, {"error": "The upload was cut off"})
                self.hub.broken_uploads = left - 1
            assert hashlib.sha256(body).hexdigest() == oid
            self.hub.objects[oid] = body
            self.hub.uploads[oid] += 1
        return self._answer(200, {})

    def _commit(self, key: str, lines: list[dict[str, Any]]) -> None:
        repository, changed = self.hub.repositories[key], list[str]()
        for line in lines[1:]:
            value = line["value"]
            large = line["key"] == "lfsFile"
            content = self.hub.objects[value["oid"]] if large else base64.b64decode(value["content"])
            repository.files[value["path"]] = content
            changed.append(value["path"])
        repository.commits.append(changed)
        oid = f"{len(repository.commits):040}"
        return self._answer(200, {"commitUrl": f"{self.hub.url}/{key}/commit/{oid}", "commitOid": oid})

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def _key(found: re.Match[str]) -> str:
    return f"{found['kind']}/{found['name']}"


def _oid(content: bytes) -> str:
    """What the hub compares with a local file: the sha256 of a large file, git's hash of another one."""
    if len(content) >= LARGE:
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
