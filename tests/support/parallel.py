"""How the suite is divided between processes: file by file, and all files that start Ray go to one of them."""

from __future__ import annotations

from functools import cache

from xdist.scheduler import LoadScopeScheduling

from tests.support.needs import ROOT, starts_ray


class PartScheduling(LoadScopeScheduling):
    """Gives a process that becomes free the next part, in the order in which the tests are collected."""

    def _split_scope(self, nodeid: str) -> str:
        return part(nodeid.partition("::")[0])


@cache
def part(file: str) -> str:
    """The part to which the tests of a file belong; `file` is its path from the root of the repository.

    A part runs in one process. One Ray serves all tests, with the engines that run on it: they cost far more to start
    than most tests take, and a second Ray would compete with the first one for the CPUs.
    """
    return "ray" if starts_ray(ROOT / file) else file
