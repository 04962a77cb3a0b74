"""A step is a unit of cached work. Its key is a hash of everything that changes its result, and of nothing else."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

from pydantic import BaseModel

from actors.sandbox.protocol.job import Level
from pipelines.rows.kinds import Kind
from pipelines.study.graph.steps.fingerprint import Description, describe, fingerprint, fingerprint_of_texts
from pipelines.study.plugins.active import versions
from prompts import STANDARD_CATALOG, Catalog

WorkType = Literal["generate", "score", "train", "other"]


@dataclass(frozen=True, slots=True)
class StepParams:
    """The parameters of a step. `model` is the study's name of the model that the step calls or trains."""

    kind: ClassVar[Kind]
    code_version: ClassVar[int]  # increased by hand if the output's meaning changes, to recompute old outputs
    row_wise: ClassVar[bool] = False  # whether an operator processes its rows one by one, in the stream
    work_type: ClassVar[WorkType] = "generate"  # of its model, by default
    role: ClassVar[str] = ""  # of its model, for display; "" if `show` names no model
    unites: ClassVar[bool] = False  # whether the step's rows are those of its inputs, with their ids
    model: str

    @property
    def variant(self) -> str:
        """Return a name that distinguishes steps of equal kind and model whose rows differ in cost; "" by default."""
        return ""

    @property
    def rows_per_input(self) -> int:
        """Return the number of rows (or rejections) that a row-wise step creates from one row."""
        return 1

    @property
    def sandbox_level(self) -> Level | None:
        """Return the sandbox level at which the step runs untrusted code; None if it runs none."""
        return None


@dataclass(frozen=True, slots=True)
class ModelFreeParams(StepParams):
    """The parameters of a step that calls no model."""

    work_type = "other"

    model: str = field(default="", init=False)


class AddStep(Protocol):
    """Adds a step to the grid, or returns the existing step with the same key."""

    def __call__(self, identity: Identity, subject: str, params: StepParams, *inputs: Step) -> Step: ...


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One node of the study's graph. `payload` is what the key is computed from, besides the inputs' keys.

    `label` is for display: the kind and the step's subject. `catalog` has the study's prompts.
    """

    kind: Kind
    label: str
    key: str
    payload: Mapping[str, Any]
    inputs: tuple[Step, ...]
    params: StepParams
    catalog: Catalog = STANDARD_CATALOG

    @property
    def subject(self) -> str:
        """The label without the kind."""
        return self.label.removeprefix(f"{self.kind} ")

    @property
    def unites(self) -> bool:
        """Whether the step's rows are those of its inputs, with their ids."""
        return self.params.unites


@dataclass(frozen=True, slots=True)
class Identity:
    """A step's description without its inputs, and the digest of that. Several steps of a grid may share one."""

    kind: Kind
    payload: Mapping[str, Any]
    digest: str


def identify(params: type[StepParams], payload: Mapping[str, Any]) -> Identity:
    """Return the identity of a step, from the class of its parameters and its description."""
    parts = {name: part.value if isinstance(part, Description) else part for name, part in payload.items()}
    full = {"code_version": params.code_version, **parts}
    if plugins := versions(("step", params.kind)):
        full["plugins"] = {**parts.get("plugins", {}), **plugins}
    return Identity(params.kind, full, fingerprint(full))


def identify_as(kind: Kind, params: type[StepParams]) -> Identity:
    """Return the identity of a step of another kind than that of its parameters, described by their class alone."""
    full = {"code_version": params.code_version, "params": params.kind}
    return Identity(kind, full, fingerprint(full))


def plugin_parts(*things: tuple[str, Hashable]) -> dict[str, Description]:
    """Return the part of a step's description for what plug-ins have added among these things, as (what, key)."""
    found = versions(*things)
    return {"plugins": describe(found)} if found else {}


Part = Hashable | BaseModel  # our pydantic models are hashable, too, which type checkers do not see


class Identities:
    """Creates each identity once. The cache's key is the whole description, so that no part can be forgotten."""

    def __init__(self) -> None:
        self._made: dict[Hashable, Identity] = {}

    def __call__(self, params: type[StepParams], **parts: Part) -> Identity:
        """Return the identity of a step, from the class of its parameters and its description.

        Raises:
            TypeError: A part is not hashable. Pass it as a `Description`.
        """
        values = (params, *parts.items())
        if values not in self._made:
            self._made[values] = identify(params, parts)
        return self._made[values]


def make_step(
    identity: Identity, subject: str, params: StepParams, inputs: tuple[Step, ...], catalog: Catalog = STANDARD_CATALOG
) -> Step:
    """Return a step with its key: the fingerprint of its kind, its description and its inputs' keys."""
    key = fingerprint_of_texts(identity.kind, identity.digest, *(step.key for step in inputs))
    return Step(identity.kind, f"{identity.kind} {subject}", key, identity.payload, inputs, params, catalog)
