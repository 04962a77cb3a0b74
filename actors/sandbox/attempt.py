"""One job or one check on one zygote: its pipes, its clock, and what its answers are worth."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from actors.sandbox.protocol import wire
from actors.sandbox.protocol.frames import Frames
from actors.sandbox.protocol.job import EXTRA_BYTES, REQUEST_BYTES, Check, Job, Limits, Outcome, Plain, Status
from actors.sandbox.zygote_process import End, Zygote

_SAYABLE = ("returned", "raised", "memory", "output", "killed")


class Refused(Exception):
    """A job that can not even be sent; the text says why."""


def attempt_cases(zygote: Zygote, job: Job, cases: Sequence[tuple[Plain, ...]]) -> list[Outcome]:
    """Outcomes of the first cases: all, or as many as the process lived for, its end being the last one's outcome.

    A source that can not be loaded gives each case the same outcome. Refused; ZygoteLost if the sandbox failed.
    """
    fields = {"source": job.source, "call": job.call, "cases": [list(case) for case in cases]}
    request = _request(fields, job.limits)
    with Pipes() as pipes:
        given, give = pipes.new()
        results, result = pipes.new()
        tasks = [("run", [pipes.pass_on(given), pipes.pass_on(result)])]
        with zygote.running(tasks, job.limits) as ends:
            _send(give, request)
            answers = Answers(job.id, results, job.limits)
            loaded = answers.next()
            works = loaded.status == "returned"
            outcomes = list(answers.of_cases(len(cases))) if works else [loaded] * len(cases)
    return [answers.explain(outcome, ends[0]) for outcome in outcomes]


def attempt_check(zygote: Zygote, check: Check) -> Outcome:
    """The outcome of a check: `returned` True if all tests passed. Refused; ZygoteLost if the sandbox failed."""
    solution = _request({"source": check.solution, "scene": check.scene}, check.limits)
    tests = _request({"setup": check.setup, "tests": check.tests, "remote": list(check.remote)}, check.limits)
    with Pipes() as pipes:
        given_tests, give_tests = pipes.new()
        given_solution, give_solution = pipes.new()
        results, result = pipes.new()
        calls = pipes.new()
        replies = pipes.new()
        tasks = [
            ("check", [pipes.pass_on(fd) for fd in (given_tests, result, calls[1], replies[0])]),
            ("serve", [pipes.pass_on(fd) for fd in (given_solution, calls[0], replies[1])]),
        ]
        with zygote.running(tasks, check.limits) as ends:
            _send(give_solution, solution)
            _send(give_tests, tests)
            answers = Answers(check.id, results, check.limits)
            outcome = answers.next()
    return answers.explain(outcome, ends[-1])  # tests that miss their solution say that they were killed


def _request(fields: dict[str, Any], limits: Limits) -> bytes:
    try:
        return wire.encode({**fields, "output_bytes": limits.output_bytes}, REQUEST_BYTES)
    except (wire.NotPlain, wire.TooLong) as error:
        raise Refused(str(error)) from None


def _send(fd: int, text: bytes) -> None:
    with contextlib.suppress(BrokenPipeError):  # it died before it read all, and its end will tell how
        wire.send(fd, text)


class Pipes(contextlib.ExitStack):
    """Pipes whose ends are closed on leaving, except those that were passed on."""

    def __init__(self) -> None:
        super().__init__()
        self._open: set[int] = set()
        self.callback(self._close)

    def new(self) -> tuple[int, int]:
        """A pipe: (end to read from, end to write to)."""
        ends = os.pipe()
        self._open |= set(ends)
        return ends

    def pass_on(self, fd: int) -> int:
        """This end will be closed by who gets it."""
        self._open.remove(fd)
        return fd

    def _close(self) -> None:
        for fd in self._open:
            os.close(fd)


class Answers:
    """What a process says, frame by frame; whatever it says is its claim about itself and nothing more."""

    def __init__(self, identity: str, fd: int, limits: Limits) -> None:
        self._id, self._limits = identity, limits
        self._frames = Frames(fd)
        self._start = time.monotonic()
        self._over = False

    def of_cases(self, count: int) -> Iterator[Outcome]:
        """Answers until all are there or none will follow; each but the first has a clock of its own."""
        for _ in range(count):
            yield self.next()
            if self._over:
                return
            self._start = time.monotonic()

    def next(self) -> Outcome:
        """The next answer, or why there is none."""
        try:
            text = self._frames.next(self._start + self._limits.wall_seconds, self._limits.output_bytes + EXTRA_BYTES)
            status, value, detail = ("killed", None, "") if text is None else _claim(text)
            self._over = text is None
        except TimeoutError:
            status, value, detail = "timeout", None, f"{self._limits.wall_seconds:g} s are allowed"
            self._over = True
        except wire.TooLong as error:
            status, value, detail = "output", None, str(error)
            self._over = True
        return Outcome(self._id, status, value, detail, time.monotonic() - self._start)

    def explain(self, outcome: Outcome, end: End) -> Outcome:
        """The outcome of a process that ended without an answer, from how the kernel says that it ended."""
        if outcome.status != "killed" or outcome.detail:
            return outcome
        # the kernel counts whole ticks for the limit, which may be far more than what it tells afterwards
        if end.signal == signal.SIGKILL and end.cpu_seconds > 0.5 * self._limits.cpu_seconds:
            return replace(outcome, status="timeout", detail=f"{self._limits.cpu_seconds} s of CPU are allowed")
        return replace(outcome, detail=f"ended without an answer: {end}")


def _claim(text: bytes) -> tuple[Status, Plain, str]:
    """What a frame says, which may be forged, in so far as a process may say it."""
    try:
        said = wire.decode(text)
    except wire.NotPlain as error:
        return "raised", None, f"an answer that is none: {error}"
    if not isinstance(said, dict) or said.get("status") not in _SAYABLE:
        return "raised", None, "an answer that is none"
    if said["status"] == "returned":
        return "returned", said.get("value"), ""
    return said["status"], None, wire.readable(str(said.get("detail", "")))
