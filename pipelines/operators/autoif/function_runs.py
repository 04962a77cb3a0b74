"""Runs verification functions on responses in the sandbox, and compares their results with labels."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from actors.sandbox.equality import matches
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
    """Return for each response whether the function returns exactly its label: same value and type.

    A function that raises, hangs or crashes agrees with no label.

    Raises:
        SandboxError: The sandbox itself failed, which says nothing about the function.
    """
    job = SandboxJob(identity, source, FUNCTION_NAME, limits=FUNCTION_LIMITS)
    outcomes = await runner.run_cases(job, [(response,) for response in responses])
    return tuple(matches(_require_sandbox_ok(outcome), label) for outcome, label in zip(outcomes, labels, strict=True))


async def pass_rates(runner: Runner, identity: str, sources: Sequence[str], responses: Sequence[str]) -> list[float]:
    """Return for each response the share of functions that return True for it.

    Raises:
        SandboxError: The sandbox itself failed.
    """
    yes = [True] * len(responses)
    said = await asyncio.gather(*(run_function(runner, identity, source, responses, yes) for source in sources))
    return [sum(of_one) / len(sources) for of_one in zip(*said, strict=True)]


def _require_sandbox_ok(outcome: Outcome) -> Outcome:
    if outcome.status == "infrastructure":
        raise SandboxError(f"the sandbox could not run a verification function: {outcome.detail}")
    return outcome
