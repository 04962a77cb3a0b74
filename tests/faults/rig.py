"""A study in a separate folder, run by processes that tests kill or disturb, and checks of the result."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipelines.rows.arrow import from_table
from pipelines.rows.kinds import ROW_TYPES
from pipelines.rows.types import InstructionRow, Rejection, ResponseRow
from pipelines.store.maintenance.verify import verify
from pipelines.store.store import Store

ROOT = Path(__file__).parents[2]
HANG_SECONDS = 60.0  # by then there is progress, or a clear error
NOTED = "request.asked=note;answer.kept=note"
STUDY = """\
study: faulty
seeds:
  - {name: world, world: {count: 300}}
models:
  small: {source: small, engine: scripted, cpus: 0.1, runtime: {latency: 0.01}}
  large: {source: large, engine: scripted, cpus: 0.1, runtime: {latency: 0.01}}
evolution: {evolvers: [small], rounds: 2}
responses: {teachers: [large]}
scoring: {scorer: small}
"""


class Forked:
    """A driver that the zygote has started, with the methods of Popen that tests need."""

    _zygote: subprocess.Popen[str] | None = None
    _codes: dict[int, int] = {}  # noqa: RUF012 one zygote for all

    def __init__(self, arguments: list[str], environment: Mapping[str, str], output: Path) -> None:
        if Forked._zygote is None:
            command = [sys.executable, "-m", "tests.faults.zygote"]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            Forked._zygote = subprocess.Popen(command, cwd=ROOT, text=True, bufsize=1, **pipes)
        self.output = output
        order = {"arguments": arguments, "environment": dict(environment), "output": str(output)}
        assert Forked._zygote.stdin
        Forked._zygote.stdin.write(json.dumps(order) + "\n")
        while len(told := self._told()) > 1:
            pass
        self.pid = told[0]

    def poll(self) -> int | None:
        """Return the exit code; None while the driver is running."""
        assert Forked._zygote and Forked._zygote.stdout
        while self.pid not in Forked._codes and select.select([Forked._zygote.stdout], [], [], 0)[0]:
            self._told()
        return Forked._codes.get(self.pid)

    def wait(self, seconds: float) -> int:
        """Return the exit code.

        Raises:
            TimeoutExpired: The driver does not exit within `seconds` seconds.
        """
        deadline = time.monotonic() + seconds
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("driver", seconds)
            time.sleep(0.02)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the driver has exited."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill the driver, unless it has exited."""
        self.send_signal(signal.SIGKILL)

    def said(self) -> str:
        """Return the output so far."""
        return self.output.read_text() if self.output.exists() else ""

    @staticmethod
    def _told() -> list[int]:
        """Read a line of the zygote: `[pid]` of a new driver, or `[pid, code]` of one that has exited."""
        assert Forked._zygote and Forked._zygote.stdout
        told = [int(word) for word in Forked._zygote.stdout.readline().split()]
        if len(told) == 2:
            Forked._codes[told[0]] = told[1]
        return told

    @staticmethod
    def end_all() -> None:
        """Stop the zygote."""
        if Forked._zygote is not None:
            Forked._zygote.kill()
            Forked._zygote.wait()
            Forked._zygote = None


@dataclass(frozen=True)
class Ended:
    """Exit code, output and duration of a process."""

    code: int
    output: str
    seconds: float


@dataclass
class Rig:
    """The folder of a study and its runs. Every process has a separate folder for its traces."""

    folder: Path
    text: str = STUDY
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    url: str = ""
    traces: list[Path] = field(default_factory=list[Path])

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.study = self.folder / "faulty.yaml"
        self.url = self.url or str(self.folder / "store")
        self.write(self.text)

    @property
    def store(self) -> Store:
        return Store(self.url)

    def write(self, text: str) -> None:
        """Replace the study file."""
        self.text = text
        self.study.write_text(text)

    def start(self, faults: str = "", *arguments: str, **environment: str) -> Any:
        """Start a process that runs the study, with faults at named points."""
        self.traces.append(self.folder / "traces" / str(len(self.traces)))
        self.traces[-1].mkdir(parents=True)
        points = {"EVOLGRID_FAULTS": f"{NOTED};{faults}", "EVOLGRID_FAULTS_FOLDER": str(self.traces[-1])}
        command = ["run", str(self.study), "--store", self.url, *arguments]
        environment = {"COLUMNS": "200", **self.environment, **points, **environment}
        return self.begin(command, environment, self.traces[-1] / "output.txt")

    def begin(self, arguments: list[str], environment: dict[str, str], output: Path) -> Any:
        """Start a process with these arguments."""
        return Forked(arguments, environment, output)

    def run(self, faults: str = "", *arguments: str, seconds: float = HANG_SECONDS, **environment: str) -> Ended:
        """Run the study until the process exits. A hang is an error."""
        return ended(self.start(faults, *arguments, **environment), seconds)

    def command(self, name: str, *arguments: str, text: str = "") -> Ended:
        """Run another command on the study, or on a new study file `text`, and return its result."""
        self.write(text or self.text)
        command = [sys.executable, "-m", "pipelines.cli", name, str(self.study), "--store", self.url, *arguments]
        started = time.monotonic()
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=HANG_SECONDS, check=False)
        return Ended(done.returncode, done.stdout + done.stderr, time.monotonic() - started)

    def asked(self, last: int | None = None) -> list[set[str]]:
        """Return the requests that reached an engine, by process."""
        return [noted(trace, "request.asked") for trace in self.traces[:last]]

    def kept(self) -> list[set[str]]:
        """Return the requests whose answers were durable, by process."""
        return [noted(trace, "answer.kept") for trace in self.traces]

    def repeated(self) -> list[tuple[int, int]]:
        """Return the numbers of repeated requests and of requests in flight before, for every process but the first.

        Raises:
            AssertionError: A request was repeated although its answer was durable.
        """
        asked, kept, told = self.asked(), self.kept(), list[tuple[int, int]]()
        for number in range(1, len(asked)):
            before, answered = set().union(*asked[:number]), set().union(*kept[:number])
            again = asked[number] & before
            assert not again & answered, f"{len(again & answered)} durable answers were requested again"
            told.append((len(again), len(before - answered)))
        return told

    def check(self, reference: Mapping[str, str] | None = None) -> None:
        """Check that the study is finished, with the results of an undisturbed run, and no files are left over."""
        assert hashes(self.store) == (reference if reference is not None else undisturbed(self.text))
        check_rows(self.store)
        check_left_over(self.store)


def ended(process: Any, seconds: float = HANG_SECONDS) -> Ended:
    """Wait for a process. It hangs if it writes neither output nor traces for `seconds` seconds."""
    started = since = time.monotonic()
    seen = -1
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return Ended(process.wait(1.0), process.said(), time.monotonic() - started)
        told = sum(file.stat().st_size for file in process.output.parent.iterdir())
        if told != seen:
            seen, since = told, time.monotonic()
        if time.monotonic() - since > seconds:
            process.kill()
            raise AssertionError(f"the process hangs: no progress for {seconds:.0f} s:\n{process.said()}")


def noted(trace: Path, point: str) -> set[str]:
    """Return the digests of the subjects that hit a point."""
    return {line for file in trace.glob(f"{point}.*.notes") for line in file.read_text().split("\n") if line}


def hashes(store: Store) -> dict[str, str]:
    """Return the sha256 of every file of rows or weights, by its path."""
    root = f"{store.root}/steps"
    paths: list[str] = [path for path in store.fs.find(root) if path.endswith((".parquet", ".safetensors"))]
    return {path.removeprefix(root): hashlib.sha256(store.read_bytes(path)).hexdigest() for path in paths}


def finished(store: Store) -> dict[str, str]:
    """Return `hashes` without the partition outputs of unfinished steps."""
    return {path: sha for path, sha in hashes(store).items() if "/parts/" not in path}


def check_rows(store: Store) -> None:
    """Check that all files match their manifests, ids are unique, and answers belong to their questions."""
    assert not [one for one in verify(store) if one.problems]
    instructions: dict[str, str] = {}
    for kind in ROW_TYPES:
        for key in store.keys(kind):
            tables = [store.rows(kind, key), store.rows(kind, key, "rejected")]
            ids = Counter(row for table in tables for row in table.column("id").to_pylist())
            account = store.manifest(kind, key).account
            assert not [row for row, count in ids.items() if count > 1]
            assert len(ids) == account.rows_out + account.rejected + account.failed
            if issubclass(ROW_TYPES[kind], InstructionRow):
                instructions |= {row.id: row.instruction for row in from_table(InstructionRow, tables[0])}
    for key in store.keys("respond"):
        for row in from_table(ResponseRow, store.rows("respond", key)):
            assert row.instruction == instructions[row.parent_id]


def check_left_over(store: Store) -> None:
    """Check that there are no partition outputs, lease or temporary files, and a single epoch."""
    paths: list[str] = store.fs.find(store.root)
    assert not [path for path in paths if "/parts/" in path or path.endswith("lease.json")]
    assert not [path for path in paths if "/steps/" in path and path.endswith(".tmp")]
    assert len([path for path in paths if "/epochs/" in path]) == 1


def rejections(store: Store, *kinds: str) -> list[Rejection]:
    """Return all rows that steps of these kinds rejected or failed on."""
    return [
        row
        for kind in kinds
        for key in store.keys(kind)
        for row in from_table(Rejection, store.rows(kind, key, "rejected"))
    ]


def undisturbed(text: str) -> Mapping[str, str]:
    """Return the hashes of an undisturbed run of a study, on engines without latency."""
    return _undisturbed(re.sub(r"latency: [\d.]+", "latency: 0", text))


@cache
def _undisturbed(text: str) -> Mapping[str, str]:
    with TemporaryDirectory() as folder:
        rig = Rig(Path(folder), text)
        run = rig.run()
        assert run.code == 0, run.output
        return hashes(rig.store)


def wait_for(holds: Callable[[], bool], process: Any, seconds: float = HANG_SECONDS) -> None:
    """Wait until `holds` returns True. The process must be running until then."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert process.poll() is None, process.said()
        assert time.monotonic() < deadline, f"condition not met after {seconds:.0f} s"
        time.sleep(0.02)
