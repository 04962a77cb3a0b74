"""A step: a unit of cached work. Its key is made of everything that changes its result, and of nothing else."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

from pydantic import BaseModel

from actors.sandbox.protocol.job import Level
from pipelines.rows.types import Kind
from pipelines.study.graph.fingerprint import Description, fingerprint

WorkType = Literal["generate", "score", "train", "other"]


@dataclass(frozen=True, slots=True)
class StepParams:
    """What a step is to do. `model` is the model that it asks or trains, by its name in the study."""

    kind: ClassVar[Kind]
    code_version: ClassVar[int]  # raised by hand when the meaning of the output changes: old outputs are made again
    row_wise: ClassVar[bool] = False  # whether an operator makes its rows one by one, as a part of the stream
    work_type: ClassVar[WorkType] = "generate"  # what its model does, as a rule
    role: ClassVar[str] = ""  # of its model, for people; "" where `show` names no model
    model: str

    @property
    def variant(self) -> str:
        """Return what tells steps of equal kind and model apart that take unequal time for a row; "" if nothing."""
        return ""

    @property
    def rows_per_input(self) -> int:
        """Return the number of rows (or rejections) that a row-wise step makes of one row."""
        return 1

    @property
    def sandbox_level(self) -> Level | None:
        """Return the level of isolation at which the step runs foreign code; None if it runs none."""
        return None


@dataclass(frozen=True, slots=True)
class ModelFreeParams(StepParams):
    """What a step that asks no model is to do."""

    work_type = "other"

    model: str = field(default="", init=False)


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


def identify(params: type[StepParams], payload: Mapping[str, Any]) -> Identity:
    """The identity of a step with parameters of this class and with this description."""
    parts = {name: part.value if isinstance(part, Description) else part for name, part in payload.items()}
    full = {"code_version": params.code_version, **parts}
    return Identity(params.kind, full, fingerprint(full))


Part = Hashable | BaseModel  # hashable too, which the type checker does not see in pydantic models


class Identities:
    """Makes each identity once, and finds it again by the very values that it is made of: none can be left out."""

    def __init__(self) -> None:
        self._made: dict[Hashable, Identity] = {}

    def __call__(self, params: type[StepParams], **parts: Part) -> Identity:
        """Return the identity of a step with parameters of this class and with this description.

        Raises:
            TypeError: A part is not hashable: give it as a `Description`.
        """
        values = (params, *parts.items())
        if values not in self._made:
            self._made[values] = identify(params, parts)
        return self._made[values]


def make_step(identity: Identity, subject: str, params: StepParams, inputs: tuple[Step, ...]) -> Step:
    """A step with its key: the fingerprint of its kind, its description and its inputs' keys."""
    key = fingerprint([identity.kind, identity.digest, *(step.key for step in inputs)])
    return Step(identity.kind, f"{identity.kind} {subject}", key, identity.payload, inputs, params)
