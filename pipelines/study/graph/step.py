"""A step: a unit of cached work. Its key is made of everything that changes its result, and of nothing else."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import BaseModel

from pipelines.study.graph.fingerprint import Description, fingerprint
from pipelines.study.graph.params import STEP_PARAMS, Kind, StepParams


class AddStep(Protocol):
    """A step of the grid: the one that is there already, if it is the same."""

    def __call__(self, identity: Identity, subject: str, params: StepParams, *inputs: Step) -> Step: ...


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One node of the study's graph. `payload` is what the key was made of, beside the inputs' keys.

    `label` is `kind` and what it is done to, for people.
    """

    kind: Kind
    label: str
    key: str
    payload: Mapping[str, Any]
    inputs: tuple[Step, ...]
    params: StepParams

    @property
    def subject(self) -> str:
        """The label without the kind."""
        return self.label.removeprefix(f"{self.kind} ")


@dataclass(frozen=True, slots=True)
class Identity:
    """What a step is, apart from its inputs: the description, and its digest. Many steps of a grid share one."""

    kind: Kind
    payload: Mapping[str, Any]
    digest: str


def identify(kind: Kind, payload: Mapping[str, Any]) -> Identity:
    """The identity of a kind of step with this description."""
    parts = {name: part.value if isinstance(part, Description) else part for name, part in payload.items()}
    full = {"code_version": STEP_PARAMS[kind].code_version, **parts}
    return Identity(kind, full, fingerprint(full))


Part = Hashable | BaseModel  # hashable too, which the type checker does not see in pydantic models


class Identities:
    """Makes each identity once, and finds it again by the very values that it is made of: none can be left out."""

    def __init__(self) -> None:
        self._made: dict[Hashable, Identity] = {}

    def __call__(self, kind: Kind, **parts: Part) -> Identity:
        """Return the identity of a kind of step with this description.

        Raises:
            TypeError: A part is not hashable: give it as a `Description`.
        """
        values = (kind, *parts.items())
        if values not in self._made:
            self._made[values] = identify(kind, parts)
        return self._made[values]


def make_step(identity: Identity, subject: str, params: StepParams, inputs: tuple[Step, ...]) -> Step:
    """A step with its key: the fingerprint of its kind, its description and its inputs' keys."""
    key = fingerprint([identity.kind, identity.digest, *(step.key for step in inputs)])
    return Step(identity.kind, f"{identity.kind} {subject}", key, identity.payload, inputs, params)
