"""Every attack of attacks.toml, several times: nothing gets out, nothing is faked, nothing is left, limits are kept."""

from __future__ import annotations

import os
import platform
import re
import socket
import threading
import time
import tomllib
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from actors.sandbox.equality import matches
from actors.sandbox.protocol.job import Check, Limits, Outcome, SandboxJob
from actors.sandbox.sandbox import Sandbox

TABLE = tomllib.loads(Path(__file__).with_name("attacks.toml").read_text())
CLASSES = {"network", "load", "reading", "writing", "killing", "escaping", "text"}
LIMITS = Limits(wall_seconds=1.5, cpu_seconds=1, memory_bytes=128 << 20)
PATIENT = replace(LIMITS, wall_seconds=30)  # for what ends by itself, however busy the machine is
GRACE = 20.0  # seconds that a busy machine may take to end a job whose time is up
TESTS = "assert add(2, 3) == 5\nassert add(-1, 1) == 0"
# disks and networks of tests; shared memory of Ray, vLLM, torch and Chromium
OF_OTHERS = re.compile(r"/pytest-|/netns|/dev/shm/(plasma|psm_|sem\.|torch_|\.org\.chromium)")
SECRET = uuid.uuid4().hex


class Target:
    """What attackers aim at on this machine: servers, a secret file, a secret in the environment."""

    def __init__(self, folder: Path) -> None:
        self.contacts = 0
        self.folder = folder
        self.secret = folder / "secret.txt"
        self.secret.write_text(SECRET)
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.abstract, self.unix = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
        self.abstract.bind(f"\0{SECRET[:8]}")
        self.unix.bind(str(folder / "socket"))
        self.sockets = [self.tcp, self.udp, self.abstract, self.unix]
        for server in (self.abstract, self.unix):
            server.listen()
        for server in self.sockets:
            threading.Thread(target=self._watch, args=(server,), daemon=True).start()

    def _watch(self, server: socket.socket) -> None:
        while True:
            try:
                server.recv(1) if server is self.udp else server.accept()
            except OSError:
                return
            self.contacts += 1

    def facts(self) -> dict[str, Any]:
        return {
            "tcp": self.tcp.getsockname()[1],
            "udp": self.udp.getsockname()[1],
            "abstract": SECRET[:8],
            "unix": str(self.folder / "socket"),
            "secret": str(self.secret),
            "folder": str(self.folder),
            "pid": os.getpid(),
            "descriptor": 100_000,
            "host": platform.node(),
            "earlier": ["EARLIER-", SECRET],
            "marker": "a marker of an earlier job",
        }


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    os.environ["SANDBOX_SECRET"] = SECRET
    aim = Target(tmp_path_factory.mktemp("target"))
    aim.folder.chmod(0o777)
    yield aim
    del os.environ["SANDBOX_SECRET"]
    for server in aim.sockets:
        server.close()


@pytest.fixture
def nothing_left(sandbox: Sandbox, target: Target, zygotes: Callable[[], list[int]]) -> Iterator[None]:
    """No process, mount or file is there afterwards that was not there before, and nobody was reached."""
    settled = sandbox.run(SandboxJob("warm", "1")).status
    before, of_machine = state(target), things(zygotes)
    yield
    deadline = time.monotonic() + GRACE
    while (left := (state(target), things(zygotes) - of_machine)) != (before, set()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert settled == "returned"
    assert left == (before, set())
    assert target.contacts == 0


def state(target: Target) -> dict[str, Any]:
    """What is of this process and its target alone."""
    return {
        "files": sorted(path.name for path in target.folder.iterdir()),
        "secret": target.secret.read_text(),
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
    }


def things(zygotes: Callable[[], list[int]]) -> set[str | int]:
    """Processes, mounts and files of the machine, except those that tests in another process may make meanwhile."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    files = [str(path) for folder in ("/", "/dev/shm") for path in Path(folder).iterdir()]
    return {*zygotes(), *(one for one in mounts + files if not OF_OTHERS.search(one))}


def timed(act: Any, limits: Limits) -> Outcome:
    """The outcome, after a look at the clock: the limit is kept."""
    started = time.monotonic()
    outcome = act()
    assert time.monotonic() - started <= limits.wall_seconds + GRACE
    return outcome


def names(kind: str) -> Any:
    return pytest.mark.parametrize(kind, TABLE[kind], ids=lambda row: row["name"])


def test_every_class_of_attacks_is_tried() -> None:
    assert {row["class"] for row in TABLE["attack"]} == CLASSES


@names("attack")
def test_attack_achieves_nothing(
    attack: dict[str, Any], sandbox: Sandbox, target: Target, rounds: int, nothing_left: None
) -> None:
    source = TABLE["prelude"] + attack["source"].replace("SURROGATE", "\ud800")
    earlier = f"import json\nmark = {{'a marker of an earlier job': 'EARLIER-{SECRET}'}}\ndef see(x): return mark"
    limits = LIMITS if "timeout" in attack.get("ends", ()) else PATIENT
    for number in range(rounds):
        sandbox.run(SandboxJob("earlier", earlier, "see", (f"EARLIER-{SECRET}",)))
        job = SandboxJob(f"attack {number}", source, "attack", (target.facts(),), limits)
        outcome = timed(lambda job=job: sandbox.run(job), limits)
        assert SECRET not in f"{outcome.value} {outcome.detail}"
        assert matches(outcome, []) or outcome.status in attack.get("ends", ()), outcome
        outcome.detail.encode()
    assert matches(sandbox.run(SandboxJob("honest", "def f(): return 7", "f")), 7)


def test_search_of_the_memory_finds_what_is_there(sandbox: Sandbox, target: Target) -> None:
    search = next(row for row in TABLE["attack"] if row["name"] == "earlier jobs in memory")
    held = f"held = [''.join(['EARLIER-', *reversed('{SECRET[::-1]}')])]"
    job = SandboxJob("control", f"{TABLE['prelude']}{search['source']}\n{held}", "attack", (target.facts(),), LIMITS)
    assert "memory" in (sandbox.run(job).value or ())


@names("fake")
def test_fake_does_not_pass(fake: dict[str, Any], sandbox: Sandbox, rounds: int, nothing_left: None) -> None:
    for number in range(rounds):
        check = Check(f"fake {number}", fake["source"], TESTS, ("add",), limits=LIMITS)
        outcome = timed(lambda check=check: sandbox.check(check), LIMITS)
        assert outcome.value is not True
        assert outcome.status in ("raised", "killed", "output", "timeout"), outcome


@names("claim")
def test_claim_does_not_agree_with_true(
    claim: dict[str, Any], sandbox: Sandbox, rounds: int, nothing_left: None
) -> None:
    for number in range(rounds):
        outcome = sandbox.run(SandboxJob(f"claim {number}", claim["source"], "evaluate", ("text",), LIMITS))
        assert not matches(outcome, True)
        assert outcome.status != "infrastructure"
