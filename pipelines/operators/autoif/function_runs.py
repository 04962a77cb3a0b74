"""What verification functions say of responses: they run in the sandbox, and the verdict is made here."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from actors.sandbox.equality import matches
from actors.sandbox.protocol.job import Limits, Outcome, Plain, SandboxError, SandboxJob

FUNCTION_NAME = "evaluate"
FUNCTION_LIMITS = Limits(wall_seconds=5.0)


class Runner(Protocol):
    """A sandbox, wherever it is: `SandboxClient` is one."""

    async def run(self, job: SandboxJob) -> Outcome:
        """Execute the source."""
        ...

    async def run_cases(self, job: SandboxJob, cases: Sequence[tuple[Plain, ...]]) -> list[Outcome]:
        """One outcome per tuple of arguments, in order."""
        ...


async def is_loadable(runner: Runner, identity: str, source: str) -> bool:
    """Whether the source can be executed and defines `evaluate`. SandboxError if the sandbox itself failed."""
    # the last line raises a NameError, by which the job says what only a process that ran the source can know
    job = SandboxJob(identity, f"{source}\n{FUNCTION_NAME}\n", limits=FUNCTION_LIMITS)
    return _require_sandbox_ok(await runner.run(job)).status == "returned"


async def run_function(
    runner: Runner, identity: str, source: str, responses: Sequence[str], labels: Sequence[Plain]
) -> tuple[bool, ...]:
    """Whether the function gives each response exactly its label: same value, same type.

    A function that raises, hangs or dies agrees with nothing. SandboxError if the sandbox itself failed: that is
    nobody's wrong answer.
    """
    job = SandboxJob(identity, source, FUNCTION_NAME, limits=FUNCTION_LIMITS)
    outcomes = await runner.run_cases(job, [(response,) for response in responses])
    return tuple(matches(_require_sandbox_ok(outcome), label) for outcome, label in zip(outcomes, labels, strict=True))


async def pass_rates(runner: Runner, identity: str, sources: Sequence[str], responses: Sequence[str]) -> list[float]:
    """For each response the share of functions that say True of it. SandboxError if the sandbox itself failed."""
    yes = [True] * len(responses)
    said = await asyncio.gather(*(run_function(runner, identity, source, responses, yes) for source in sources))
    return [sum(of_one) / len(sources) for of_one in zip(*said, strict=True)]


def _require_sandbox_ok(outcome: Outcome) -> Outcome:
    if outcome.status == "infrastructure":
        raise SandboxError(f"a verification function could not be run, through no fault of its own: {outcome.detail}")
    return outcome
