"""How the suite is divided between processes: file by file, and all files that share a Ray go to one of them."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.support.needs import ROOT

RAY = "ray"  # the part of all files that share a Ray
SHARED = re.compile(r"\b(ray_local|vllm_pool)[:,)]|usefixtures\(\"ray_local\"|pytest\.mark\.vllm\b")


class PartScheduling(LoadScopeScheduling):
    """Gives a process that becomes free the next part, in the order of the tests."""

    def _split_scope(self, nodeid: str) -> str:
        return part(ROOT / nodeid.partition("::")[0])


@cache
def part(path: Path) -> str:
    """The part to which the tests of a file belong; a part runs in one process.

    The Ray that tests share, and the engines on it, cost far more to start than most tests take, and a second one would
    need as much memory again.
    """
    return RAY if SHARED.search(path.read_text()) else str(path)


def sort_by_time(items: list[pytest.Item]) -> None:
    """Put files first that take long, so that no process waits long for the other one at the end.

    The part that shares Ray is the longest. What needs vLLM ends it, because its one engine keeps a CPU from then on.
    """
    ranks: dict[Path, int] = {}
    for item in items:
        marks = [item.get_closest_marker(name) is not None for name in ("ray", "torch")]
        rank = 0 if part(item.path) == RAY else [*marks, True].index(True) + 1
        ranks[item.path] = min(rank, ranks.get(item.path, rank))
    items.sort(key=lambda item: (ranks[item.path], item.get_closest_marker("vllm") is not None))
