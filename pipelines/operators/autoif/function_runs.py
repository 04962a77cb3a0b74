"""Runs verification functions on responses in the sandbox, and compares their results with labels."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from actors.sandbox.protocol.job import Limits, Outcome, Plain, SandboxError, SandboxJob

FUNCTION_NAME = "evaluate"
FUNCTION_LIMITS = Limits(wall_seconds=5.0)


class Runner(Protocol):
    """The interface of a sandbox, implemented by `SandboxClient`."""

    async def run(self, job: SandboxJob) -> Outcome:
        """Execute the job's source."""
        ...

    async def run_cases(self, job: SandboxJob, cases: Sequence[tuple[Plain, ...]]) -> list[Outcome]:
        """Return one outcome per tuple of arguments, in order."""
        ...


async def is_loadable(runner: Runner, identity: str, source: str) -> bool:
    """Return whether the source can be executed and defines `evaluate`.

    Raises:
        SandboxError: The sandbox itself failed.
    """
    # the last line raises NameError in the sandboxed process if the source does not define the function
    job = SandboxJob(identity, f"{source}\n{FUNCTION_NAME}\n", limits=FUNCTION_LIMITS)
    return _require_sandbox_ok(await runner.run(job)).status == "returned"


async def run_function(
    runner: Runner, identity: str, source: str, responses: Sequence[str], labels: Sequence[Plain]
) -> tuple[bool, ...]:
    """Return for each response whether the function returns a value that equals its label.

    As in AutoIF's code, values are compared as Python does: 1 equals True, and "true" does not. A function that returns
    nothing, raises, hangs or crashes agrees with no label.

    Raises:
        SandboxError: The sandbox itself failed, which says nothing about the function.
    """
    values = await _values(runner, identity, source, responses)
    return tuple(value is not None and value == label for value, label in zip(values, labels, strict=True))


async def pass_rates(runner: Runner, identity: str, sources: Sequence[str], responses: Sequence[str]) -> list[float]:
    """Return for each response the share of functions that return True (or 1) for it, of those that return a number.

    As in AutoIF's code, functions that raise, hang or crash have no part in it. Without any other, the share is 0.

    Raises:
        SandboxError: The sandbox itself failed.
    """
    said = await asyncio.gather(*(_values(runner, identity, source, responses) for source in sources))
    return [_pass_rate(of_one) for of_one in zip(*said, strict=True)]


def _pass_rate(values: Sequence[Plain]) -> float:
    verdicts = [value == 1 for value in values if isinstance(value, int | float)]
    return sum(verdicts) / len(verdicts) if verdicts else 0.0


async def _values(runner: Runner, identity: str, source: str, responses: Sequence[str]) -> list[Plain]:
    """Return what a function returns for each response; None if it does not return."""
    job = SandboxJob(identity, source, FUNCTION_NAME, limits=FUNCTION_LIMITS)
    outcomes = await runner.run_cases(job, [(response,) for response in responses])
    return [found.value if found.status == "returned" else None for found in map(_require_sandbox_ok, outcomes)]


def _require_sandbox_ok(outcome: Outcome) -> Outcome:
    if outcome.status == "infrastructure":
        raise SandboxError(f"the sandbox could not run a verification function: {outcome.detail}")
    return outcome
