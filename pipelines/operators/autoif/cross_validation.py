"""AutoIF, step 3: cross-validates functions and cases, and drops those that the others do not confirm."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.operators.autoif.function_runs import Runner, is_loadable, run_function
from pipelines.operators.autoif.test_generation import GeneratedTests, VerificationCase, distinct_cases
from pipelines.operators.autoif.thresholds import Thresholds
from pipelines.rows.operator import Rejected


@dataclass(frozen=True)
class CrossValidation:
    """Which function agrees with which case: `agreement[function][case]`."""

    sources: tuple[str, ...]
    cases: tuple[VerificationCase, ...]
    agreement: tuple[tuple[bool, ...], ...]

    def case_accuracy(self, case: int) -> float:
        """Return the share of all functions that agree with a case."""
        return sum(row[case] for row in self.agreement) / len(self.agreement)

    def function_accuracy(self, function: int, cases: Sequence[int]) -> float:
        """Return the share of these cases with which a function agrees; 0 if there are no cases."""
        return sum(self.agreement[function][case] for case in cases) / len(cases) if cases else 0.0


@dataclass(frozen=True)
class Function:
    """The source of a verification function, and the share of the accepted cases with which it agrees."""

    source: str
    accuracy: float


@dataclass(frozen=True)
class Accepted:
    """The functions (at least one) and cases that pass cross-validation."""

    functions: tuple[Function, ...]
    cases: tuple[VerificationCase, ...]


async def cross_validate(runner: Runner, identity: str, generated: Sequence[GeneratedTests]) -> CrossValidation:
    """Run the distinct loadable functions on the distinct cases of these functions, in the sandbox.

    Raises:
        SandboxError: The sandbox itself failed.
    """
    distinct_sources = tuple(dict.fromkeys(material.source for material in generated))
    loadable = await asyncio.gather(*(is_loadable(runner, identity, source) for source in distinct_sources))
    sources = tuple(source for source, good in zip(distinct_sources, loadable, strict=True) if good)
    cases = distinct_cases(case for material in generated if material.source in sources for case in material.cases)
    responses, labels = [case.response for case in cases], [case.label for case in cases]
    rows = await asyncio.gather(*(run_function(runner, identity, source, responses, labels) for source in sources))
    return CrossValidation(sources, cases, tuple(rows))


def apply_thresholds(validation: CrossValidation, thresholds: Thresholds) -> Accepted:
    """Select the cases that pass by all functions, then the functions that pass by the selected cases.

    Raises:
        Rejected: `too_few_functions`, `too_few_cases` or `no_function_survives`.
    """
    if len(validation.sources) < thresholds.functions:
        raise Rejected("too_few_functions", f"{len(validation.sources)} of {thresholds.functions}")
    if len(validation.cases) < thresholds.cases:
        raise Rejected("too_few_cases", f"{len(validation.cases)} of {thresholds.cases}")
    cases = [case for case in range(len(validation.cases)) if thresholds.case.passes(validation.case_accuracy(case))]
    rated = [
        Function(source, validation.function_accuracy(place, cases)) for place, source in enumerate(validation.sources)
    ]
    functions = tuple(function for function in rated if thresholds.function.passes(function.accuracy))
    if not functions:
        raise Rejected("no_function_survives", f"the best of {len(rated)}: {max(f.accuracy for f in rated):.3f}")
    return Accepted(functions, tuple(validation.cases[case] for case in cases))
