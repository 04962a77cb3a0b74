"""Kills random processes of a running study a given number of times: `make soak N=200`.

It kills drivers, raylets, stream workers, engines and their routers at random moments. The study is resumed each time,
and a new one is started when it finishes too soon. Only requests that were in flight at one of the kills may reach an
engine again. At the end, every study's rows must equal those of an undisturbed run.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.faults.nodes import RayRig, Spawned
from tests.faults.rig import STUDY, Forked, finished, undisturbed

VICTIMS = {
    "driver": (),
    "raylet": ("raylet",),
    "walker": ("ray::MapWorker", "ray::_MapWorker"),
    "engine": ("ray::Replica",),
    "router": ("ray::Router",),
}
WEIGHTS = (1, 1, 4, 6, 4)  # victims that stop the run require a new Ray
NO_RAY = "Ray did not start"  # a machine that is busy with other things: the next run will
HANG_SECONDS = 300.0  # without progress, on a machine that is busy with other things
TEXT = STUDY.replace("latency: 0.01", "latency: 0.5, slots: 16").replace("count: 300", "count: 500")


@dataclass
class Traces:
    """The requests that were sent, reached an engine and were answered, read from the growing traces.

    `open` are the requests that were in flight at any of the kills. No other may reach an engine again.
    """

    folder: Path
    read: dict[Path, int] = field(default_factory=dict[Path, int])
    sent: set[str] = field(default_factory=set[str])
    asked: set[str] = field(default_factory=set[str])
    kept: set[str] = field(default_factory=set[str])
    open: set[str] = field(default_factory=set[str])

    def look(self) -> int:
        """Read new traces; return how many requests reached an engine again since the last call."""
        self.kept.update(self._new("answer.kept"))
        new = self._new("request.asked")
        again = [digest for digest in new if digest in self.asked]
        assert self.open.issuperset(again), f"{len(set(again) - self.open)} requests were repeated without need"
        self.asked.update(new)
        return len(again)

    def killed(self) -> int:
        """Record a kill: requests in flight may be repeated. Return their number."""
        self.sent.update(self._new("request.sent"))
        self.open |= self.sent - self.kept
        return len(self.sent - self.kept)

    def _new(self, point: str) -> list[str]:
        found: list[str] = []
        for path in self.folder.rglob(f"{point}.*.notes"):
            data = path.read_bytes()[self.read.get(path, 0) :]
            whole = data[: data.rfind(b"\n") + 1]
            found += whole.decode().split()
            self.read[path] = self.read.get(path, 0) + len(whole)
        return found


@dataclass
class Soak:
    """The state of the soak test: `in_flight` has the requests at each kill, `repeated` those repeated after it."""

    folder: Path
    kills: int
    chance: random.Random
    done: Counter[str] = field(default_factory=Counter[str])
    repeated: list[int] = field(default_factory=lambda: [0])
    in_flight: list[int] = field(default_factory=list[int])
    studies: int = 0
    ended: bool = False
    started: float = field(default_factory=time.monotonic)

    def run(self) -> None:
        """Run one study after another until the number of kills is reached."""
        while self.done.total() < self.kills:
            self.studies += 1
            rig = RayRig(self.folder / str(self.studies), TEXT)
            self.study(rig)
            assert finished(rig.store) == undisturbed(TEXT), "the rows differ from those of an undisturbed run"
            shutil.rmtree(rig.folder)

    def study(self, rig: RayRig) -> None:
        """Run one study until it finishes, with kills while it runs."""
        traces = Traces(rig.folder / "traces")
        while True:
            process = rig.start("request.sent=note")
            try:
                while (code := self.strike(process, traces)) is None:
                    pass
            finally:
                end(process)
            if code == 0:
                return

    def strike(self, process: Spawned, traces: Traces) -> int | None:
        """Let the run continue for a moment and kill one of its processes; return its exit code if it has exited."""
        if not self.answering(process, traces):
            code = process.wait()
            assert not code or self.ended or NO_RAY in process.said(), process.said()
            return code
        victim = self.chance.choices([*VICTIMS], WEIGHTS)[0]
        self.ended = victim in ("driver", "raylet")
        family = process.tree(*(name for names in VICTIMS.values() for name in names))
        if self.done.total() >= self.kills or not kill(process, victim):
            return process.poll()
        self.done[victim] += 1
        if self.ended:  # the other processes still send requests for a moment, which are in flight when they exit
            process.wait(HANG_SECONDS)
            psutil.wait_procs(family, HANG_SECONDS)
        self.note(victim, traces.killed())
        return process.poll()

    def answering(self, process: Spawned, traces: Traces) -> bool:
        """Wait for new answers and then a random moment. Return False if the process exits before."""
        before, since, again = len(traces.kept), time.monotonic(), 0
        while len(traces.kept) <= before:
            again += traces.look()
            if process.poll() is not None:
                return False
            assert time.monotonic() - since < HANG_SECONDS, f"no progress: {process.said()}"
            time.sleep(0.1)
        time.sleep(self.chance.uniform(0, 2))
        self.repeated[-1:] = [self.repeated[-1] + again + traces.look()]
        return process.poll() is None

    def note(self, victim: str, in_flight: int) -> None:
        """Print a line of the table: this kill, and the requests repeated after the previous one."""
        seconds, total = time.monotonic() - self.started, self.done.total()
        print(
            f"{total:>5}/{self.kills}  {victim:<7}{in_flight:>5} in flight, {self.repeated[-1]:>4} repeated before"
            f"  study {self.studies}  {seconds / 60:5.1f} min, {seconds / total * (self.kills - total) / 60:.0f} to go",
            flush=True,
        )
        self.repeated.append(0)
        self.in_flight.append(in_flight)


def kill(process: Spawned, victim: str) -> bool:
    """Kill one process of this kind; return whether there was one."""
    if victim == "driver":
        process.kill()
        return True
    found = process.tree(*VICTIMS[victim])
    for one in found[:1]:
        try:
            one.kill()
        except psutil.Error:
            return False
    return bool(found)


def end(process: Spawned) -> None:
    """Kill a run and the remaining processes of its Ray."""
    left = process.tree("")
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
        process.wait()
    for one in left:
        try:
            one.kill()
        except psutil.Error:
            continue


def main() -> int:
    """Run the soak test; print the table and the metrics."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak") as folder:
        soak = Soak(Path(folder), chosen.kills, random.Random(chosen.seed))
        try:
            soak.run()
        finally:
            Forked.end_all()
    told = ", ".join(f"{count} {victim}" for victim, count in soak.done.items())
    print(f"{soak.done.total()} kills ({told}) in {soak.studies} studies, all with the rows of undisturbed runs")
    print(f"soak.repeated_per_kill value={sum(soak.repeated) / chosen.kills:.1f} most={max(soak.repeated)}")
    print(f"soak.in_flight_per_kill value={sum(soak.in_flight) / chosen.kills:.1f} most={max(soak.in_flight)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
