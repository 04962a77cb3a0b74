"""Step 3: functions and cases check each other; what the others do not bear out is dropped."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.operators.autoif.function_runs import Runner, loads, verdicts
from pipelines.operators.autoif.test_generation import Case, Material, distinct
from pipelines.operators.autoif.thresholds import Rules
from pipelines.rows.operator import Rejected


@dataclass(frozen=True)
class Truth:
    """Which function agrees with which case: `agrees[function][case]`."""

    sources: tuple[str, ...]
    cases: tuple[Case, ...]
    agrees: tuple[tuple[bool, ...], ...]

    def case_accuracy(self, case: int) -> float:
        """The share of all functions that agree with a case."""
        return sum(row[case] for row in self.agrees) / len(self.agrees)

    def function_accuracy(self, function: int, cases: Sequence[int]) -> float:
        """The share of these cases that a function agrees with; 0 if there are none."""
        return sum(self.agrees[function][case] for case in cases) / len(cases) if cases else 0.0


@dataclass(frozen=True)
class Function:
    """The source of a verification function, and the share of the surviving cases that it agrees with."""

    source: str
    accuracy: float


@dataclass(frozen=True)
class Survivors:
    """What cross-validation leaves: at least one function."""

    functions: tuple[Function, ...]
    cases: tuple[Case, ...]


async def truth_of(runner: Runner, identity: str, materials: Sequence[Material]) -> Truth:
    """Distinct functions that load, and the distinct cases that came with one that does, checked in the sandbox.

    SandboxError if the sandbox itself failed.
    """
    written = tuple(dict.fromkeys(material.source for material in materials))
    works = await asyncio.gather(*(loads(runner, identity, source) for source in written))
    sources = tuple(source for source, good in zip(written, works, strict=True) if good)
    cases = distinct(case for material in materials if material.source in sources for case in material.cases)
    responses, labels = [case.response for case in cases], [case.label for case in cases]
    rows = await asyncio.gather(*(verdicts(runner, identity, source, responses, labels) for source in sources))
    return Truth(sources, cases, tuple(rows))


def survivors(truth: Truth, rules: Rules) -> Survivors:
    """First the cases that pass, by all functions; then the functions that pass, by the cases that are left.

    Rejected: `too_few_functions`, `too_few_cases`, `no_function_survives`.
    """
    if len(truth.sources) < rules.functions:
        raise Rejected("too_few_functions", f"{len(truth.sources)} of {rules.functions}")
    if len(truth.cases) < rules.cases:
        raise Rejected("too_few_cases", f"{len(truth.cases)} of {rules.cases}")
    cases = [case for case in range(len(truth.cases)) if rules.case.passes(truth.case_accuracy(case))]
    rated = [Function(source, truth.function_accuracy(place, cases)) for place, source in enumerate(truth.sources)]
    functions = tuple(function for function in rated if rules.function.passes(function.accuracy))
    if not functions:
        raise Rejected("no_function_survives", f"the best of {len(rated)}: {max(f.accuracy for f in rated):.3f}")
    return Survivors(functions, tuple(truth.cases[case] for case in cases))
