"""Seeds for the cases, and a table of them at the end: one seed for a quick look, five for `make faults`."""

from __future__ import annotations

import os
import random
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.rig import Forked, Rig

SEEDS = int(os.environ.get("EVOLGRID_FAULT_SEEDS", "1"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", range(SEEDS))


@pytest.fixture
def chance(seed: int, request: pytest.FixtureRequest) -> random.Random:
    """The moment and the place of a fault: another one for every test and seed, the same ones every time."""
    return random.Random(request.node.name)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path / "rig")


@pytest.fixture(scope="session", autouse=True)
def zygote() -> Iterator[None]:
    """The process that drivers are forked from ends with the tests."""
    yield
    Forked.end_all()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    report = (yield).get_result()
    mark = item.get_closest_marker("case")
    report.case = mark.args[0] if mark else 0


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Cases of the fault table with their results and seconds."""
    seconds, results = defaultdict[int, float](float), defaultdict[int, dict[str, int]](lambda: defaultdict(int))
    for outcome in ("passed", "failed", "skipped", "error"):
        for report in terminalreporter.stats.get(outcome, []):
            if case := getattr(report, "case", 0):
                seconds[case] += report.duration
                results[case][outcome] += 1
    if results:
        terminalreporter.write_line("case  seconds  faults")
    for case in sorted(results):
        told = ", ".join(f"{count} {outcome}" for outcome, count in results[case].items())
        terminalreporter.write_line(f"{case:>4}{seconds[case]:>9.1f}  {told}")
