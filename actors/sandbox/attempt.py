"""Runs one job or one check on one zygote: creates its pipes, enforces its timeout, and validates its replies."""

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
    """A job that cannot be sent to the sandbox. The message says why."""


def attempt_cases(zygote: Zygote, job: SandboxJob, cases: Sequence[tuple[Plain, ...]]) -> list[Outcome]:
    """Run the job's cases in order in one process, and return their outcomes.

    If the process exits early, the list is shorter than `cases`, and its last outcome describes the exit. If the source
    cannot be loaded, all cases get the same outcome.

    Raises:
        UnsendableJob: The job cannot be encoded.
        ZygoteLost: The sandbox itself failed.
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
    """Run a check and return its outcome: status "returned" with the value True if all tests passed.

    Raises:
        UnsendableJob: The check cannot be encoded.
        ZygoteLost: The sandbox itself failed.
    """
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
    return result_reader.explain(outcome, statuses[-1])  # "killed" means that the solution's process exited


def _encode_request(fields: dict[str, Any], limits: Limits) -> bytes:
    try:
        return wire.encode({**fields, "output_bytes": limits.output_bytes}, REQUEST_BYTES)
    except (wire.NotSerializable, wire.ValueTooLarge) as error:
        raise UnsendableJob(str(error)) from None


def _send(fd: int, text: bytes) -> None:
    with contextlib.suppress(BrokenPipeError):  # the process exited before it read everything; its exit status says why
        wire.send(fd, text)


class Pipes(contextlib.ExitStack):
    """Creates pipes, and closes all their ends on exit except those that were passed on."""

    def __init__(self) -> None:
        super().__init__()
        self._open: set[int] = set()
        self.callback(self._close)

    def new(self) -> tuple[int, int]:
        """Create a pipe and return its ends as (read end, write end)."""
        ends = os.pipe()
        self._open |= set(ends)
        return ends

    def pass_on(self, fd: int) -> int:
        """Return an end whose receiver will close it."""
        self._open.remove(fd)
        return fd

    def _close(self) -> None:
        for fd in self._open:
            os.close(fd)


class ReplyReader:
    """Reads a process's replies frame by frame. They are untrusted: each is only the process's claim about itself."""

    def __init__(self, identity: str, fd: int, limits: Limits) -> None:
        self._id, self._limits = identity, limits
        self._frames = FrameReader(fd)
        self._start = time.monotonic()
        self._ended = False

    def case_outcomes(self, count: int) -> Iterator[Outcome]:
        """Yield up to `count` replies, until no further one will follow. The timeout restarts after each reply."""
        for _ in range(count):
            yield self.next()
            if self._ended:
                return
            self._start = time.monotonic()

    def next(self) -> Outcome:
        """Return the next reply, or the reason why there is none."""
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
        """Add the process's exit status to the outcome of a process that exited without a reply."""
        if outcome.status != "killed" or outcome.detail:
            return outcome
        # for the limit the kernel counts whole ticks, which may be far more than the CPU time that it reports
        if exit_status.signal == signal.SIGKILL and exit_status.cpu_seconds > 0.5 * self._limits.cpu_seconds:
            return replace(outcome, status="timeout", detail=f"{self._limits.cpu_seconds} s of CPU are allowed")
        return replace(outcome, detail=f"the process exited without a reply: {exit_status}")


def _parse_reply(text: bytes) -> tuple[Status, Plain, str]:
    """Return status, value and detail of a frame, which may be forged. Only the allowed statuses are accepted."""
    try:
        reply = wire.decode(text)
    except wire.NotSerializable as error:
        return "raised", None, f"the reply is invalid: {error}"
    if not isinstance(reply, dict) or reply.get("status") not in _ALLOWED_STATUSES:
        return "raised", None, "the reply is invalid"
    if reply["status"] == "returned":
        return "returned", reply.get("value"), ""
    return reply["status"], None, wire.sanitize_text(str(reply.get("detail", "")))
