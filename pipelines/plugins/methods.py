"""A method of evolution, which a plug-in adds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from pipelines.study.graph.builders.methods import METHODS
from pipelines.study.graph.builders.methods import Method as AddRounds
from pipelines.study.plugins.addition import Entry, NamedAddition, check_function
from pipelines.study.spec.instructions.evolution import KEYS_OF_METHOD


@dataclass(frozen=True)
class Method(NamedAddition):
    """A method of evolution.

    Attributes:
        name: What the `method` of an evolution says.
        rounds: Adds the steps of an evolution, from the builder and `EvolutionInputs`, and yields an `EvolvedRound` for
            each of its rounds.
        keys: The keys of an `evolution` block that are allowed with it, beside those that all methods have.
    """

    what: ClassVar[str] = "method"

    rounds: AddRounds
    keys: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        check_function(self.rounds, "'rounds' of a method", "builder", "inputs")

    def entries(self) -> Iterator[Entry]:
        yield Entry(METHODS, self.name, self.rounds)
        yield Entry(KEYS_OF_METHOD, self.name, frozenset(self.keys))
