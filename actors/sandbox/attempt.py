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
from actors.sandbox.protocol.frames import FrameReader
from actors.sandbox.protocol.job import EXTRA_BYTES, REQUEST_BYTES, Check, Limits, Outcome, Plain, SandboxJob, Status
from actors.sandbox.zygote_process import ExitStatus, Zygote

_ALLOWED_STATUSES = ("returned", "raised", "memory", "output", "killed")


class UnsendableJob(Exception):
    """A job that can not even be sent; the text says why."""


def attempt_cases(zygote: Zygote, job: SandboxJob, cases: Sequence[tuple[Plain, ...]]) -> list[Outcome]:
    """Outcomes of the first cases: all, or as many as the process lived for, its end being the last one's outcome.

    A source that can not be loaded gives each case the same outcome. Refused; ZygoteLost if the sandbox failed.
    """
    fields = {"source": job.source, "call": job.call, "cases": [list(case) for case in cases]}
    request = _encode_request(fields, job.limits)
    with Pipes() as pipes:
        given, give = pipes.new()
        results, result = pipes.new()
        tasks = [("run", [pipes.pass_on(given), pipes.pass_on(result)])]
        with zygote.running(tasks, job.limits) as statuses:
            _send(give, request)
            replies = ReplyReader(job.id, results, job.limits)
            loaded = replies.next()
            works = loaded.status == "returned"
            outcomes = list(replies.case_outcomes(len(cases))) if works else [loaded] * len(cases)
    return [replies.explain(outcome, statuses[0]) for outcome in outcomes]


def attempt_check(zygote: Zygote, check: Check) -> Outcome:
    """The outcome of a check: `returned` True if all tests passed. Refused; ZygoteLost if the sandbox failed."""
    solution = _encode_request({"source": check.solution, "scene": check.fixture}, check.limits)
    tests = _encode_request({"setup": check.setup, "tests": check.tests, "remote": list(check.remote)}, check.limits)
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
        with zygote.running(tasks, check.limits) as statuses:
            _send(give_solution, solution)
            _send(give_tests, tests)
            result_reader = ReplyReader(check.id, results, check.limits)
            outcome = result_reader.next()
    return result_reader.explain(outcome, statuses[-1])  # tests that miss their solution say that they were killed


def _encode_request(fields: dict[str, Any], limits: Limits) -> bytes:
    try:
        return wire.encode({**fields, "output_bytes": limits.output_bytes}, REQUEST_BYTES)
    except (wire.NotSerializable, wire.ValueTooLarge) as error:
        raise UnsendableJob(str(error)) from None


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


class ReplyReader:
    """What a process says, frame by frame; whatever it says is its claim about itself and nothing more."""

    def __init__(self, identity: str, fd: int, limits: Limits) -> None:
        self._id, self._limits = identity, limits
        self._frames = FrameReader(fd)
        self._start = time.monotonic()
        self._ended = False

    def case_outcomes(self, count: int) -> Iterator[Outcome]:
        """Answers until all are there or none will follow; each but the first has a clock of its own."""
        for _ in range(count):
            yield self.next()
            if self._ended:
                return
            self._start = time.monotonic()

    def next(self) -> Outcome:
        """The next answer, or why there is none."""
        try:
            text = self._frames.next(self._start + self._limits.wall_seconds, self._limits.output_bytes + EXTRA_BYTES)
            status, value, detail = ("killed", None, "") if text is None else _parse_reply(text)
            self._ended = text is None
        except TimeoutError:
            status, value, detail = "timeout", None, f"{self._limits.wall_seconds:g} s are allowed"
            self._ended = True
        except wire.ValueTooLarge as error:
            status, value, detail = "output", None, str(error)
            self._ended = True
        return Outcome(self._id, status, value, detail, time.monotonic() - self._start)

    def explain(self, outcome: Outcome, exit_status: ExitStatus) -> Outcome:
        """The outcome of a process that ended without an answer, from how the kernel says that it ended."""
        if outcome.status != "killed" or outcome.detail:
            return outcome
        # the kernel counts whole ticks for the limit, which may be far more than what it tells afterwards
        if exit_status.signal == signal.SIGKILL and exit_status.cpu_seconds > 0.5 * self._limits.cpu_seconds:
            return replace(outcome, status="timeout", detail=f"{self._limits.cpu_seconds} s of CPU are allowed")
        return replace(outcome, detail=f"ended without an answer: {exit_status}")


def _parse_reply(text: bytes) -> tuple[Status, Plain, str]:
    """What a frame says, which may be forged, in so far as a process may say it."""
    try:
        reply = wire.decode(text)
    except wire.NotSerializable as error:
        return "raised", None, f"an answer that is none: {error}"
    if not isinstance(reply, dict) or reply.get("status") not in _ALLOWED_STATUSES:
        return "raised", None, "an answer that is none"
    if reply["status"] == "returned":
        return "returned", reply.get("value"), ""
    return reply["status"], None, wire.sanitize_text(str(reply.get("detail", "")))
