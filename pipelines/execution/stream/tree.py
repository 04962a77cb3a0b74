"""The tree of steps that the rows of a seed file pass through."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pipelines.rows.operator import Operator


@dataclass(frozen=True)
class Walked:
    """An unfinished step of the stream; `source` is the key of the step whose rows it takes."""

    kind: str
    key: str
    source: str


@dataclass(frozen=True)
class Branch:
    """An unfinished row-wise step, and those that continue from its rows. It makes `draws` rows of each."""

    kind: str
    key: str
    operator: Operator
    children: tuple[Branch, ...]
    draws: int = 1

    def walk(self, source: str) -> Iterator[Walked]:
        """This branch, which takes the rows of `source`, and then all below it."""
        yield Walked(self.kind, self.key, source)
        for child in self.children:
            yield from child.walk(self.key)


@dataclass(frozen=True)
class Root:
    """A finished step whose rows enter the stream, and the unfinished steps that start from them."""

    kind: str
    key: str
    branches: tuple[Branch, ...]
