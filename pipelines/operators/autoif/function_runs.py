"""What verification functions say of responses: they run in the sandbox, and the verdict is made here."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from actors.sandbox.equality import agrees
from actors.sandbox.protocol.job import Job, Limits, Outcome, Plain, SandboxError

FUNCTION = "evaluate"
LIMITS = Limits(wall_seconds=5.0)


class Runner(Protocol):
    """A sandbox, wherever it is: `SandboxClient` is one."""

    async def run(self, job: Job) -> Outcome:
        """Execute the source."""
        ...

    async def run_cases(self, job: Job, cases: Sequence[tuple[Plain, ...]]) -> list[Outcome]:
        """One outcome per tuple of arguments, in order."""
        ...


async def loads(runner: Runner, identity: str, source: str) -> bool:
    """Whether the source can be executed and defines `evaluate`. SandboxError if the sandbox itself failed."""
    # the last line raises a NameError, by which the job says what only a process that ran the source can know
    job = Job(identity, f"{source}\n{FUNCTION}\n", limits=LIMITS)
    return _sound(await runner.run(job)).status == "returned"


async def verdicts(
    runner: Runner, identity: str, source: str, responses: Sequence[str], labels: Sequence[Plain]
) -> tuple[bool, ...]:
    """Whether the function gives each response exactly its label: same value, same type.

    A function that raises, hangs or dies agrees with nothing. SandboxError if the sandbox itself failed: that is
    nobody's wrong answer.
    """
    job = Job(identity, source, FUNCTION, limits=LIMITS)
    outcomes = await runner.run_cases(job, [(response,) for response in responses])
    return tuple(agrees(_sound(outcome), label) for outcome, label in zip(outcomes, labels, strict=True))


async def pass_rates(runner: Runner, identity: str, sources: Sequence[str], responses: Sequence[str]) -> list[float]:
    """For each response the share of functions that say True of it. SandboxError if the sandbox itself failed."""
    yes = [True] * len(responses)
    said = await asyncio.gather(*(verdicts(runner, identity, source, responses, yes) for source in sources))
    return [sum(of_one) / len(sources) for of_one in zip(*said, strict=True)]


def _sound(outcome: Outcome) -> Outcome:
    if outcome.status == "infrastructure":
        raise SandboxError(f"a verification function could not be run, through no fault of its own: {outcome.detail}")
    return outcome
