"""Base types that all blocks of a study file share."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticKnownError

from actors.engine import Sampling

MAX_SEEDS = 1000
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]


@dataclass(frozen=True, slots=True)
class ModelReference:
    """Marks the name of one of the study's models. One that `classifies` gives logits, others read and write text.

    A reference that `may_be_own` also takes OWN_BASE: the base model of each of the study's students.
    """

    classifies: bool = False
    may_be_own: bool = False


OWN_BASE = "self"
ModelName = Annotated[Name, ModelReference()]
ScorerName = Annotated[Name, ModelReference(may_be_own=True)]
ClassifierName = Annotated[Name, ModelReference(classifies=True)]


class StrictModel(BaseModel):
    """Base of all blocks: unknown keys are errors, values are not coerced, and instances are immutable.

    Instances are hashable even if fields contain lists and mappings, so that they can be cache keys. A slot keeps the
    hash of each, because a large grid looks the same few instances up many thousands of times.
    """

    __slots__ = ("_hash",)

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    def __hash__(self) -> int:
        known: int | None = getattr(self, "_hash", None)
        if known is None:
            known = _hash_of(tuple(vars(self).values()))
            object.__setattr__(self, "_hash", known)
        return known


class World(StrictModel):
    """Tasks of the bundled closed world, whose answers can be checked. A task's level is its number of constraints."""

    count: int = Field(gt=0, le=1_000_000)
    levels: list[int] = Field(default=[0], min_length=1)


class SamplingSpec(StrictModel):
    """How tokens are sampled. Temperature 0 means greedy decoding."""

    temperature: float = Field(default=0.0, ge=0, le=2)
    top_p: float = Field(default=1.0, gt=0, le=1)
    max_tokens: int = Field(default=512, gt=0)

    @property
    def sampling(self) -> Sampling:
        """The same parameters in the engines' type."""
        return Sampling(self.temperature, self.top_p, self.max_tokens)


SeedList = (
    Annotated[int, Field(gt=0, le=MAX_SEEDS)]
    | Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1, max_length=MAX_SEEDS)]
)
"""Several seeds: their number, counted up from the study's seed, or a list of them."""


def seed_values(seeds: SeedList, first: int) -> tuple[int, ...]:
    """Return the seeds: those of a list, or the given number of seeds from `first`, the study's seed."""
    return tuple(seeds) if isinstance(seeds, list) else tuple(range(first, first + seeds))


def several_seeds(seeds: SeedList) -> bool:
    """Return whether these are more than one seed."""
    return seeds != 1 and not (isinstance(seeds, list) and len(seeds) == 1)


def check_distinct_seeds(seeds: SeedList) -> None:
    """Raise ValueError if a list has a seed twice."""
    if isinstance(seeds, list) and len(set(seeds)) < len(seeds):
        raise ValueError(f"duplicate value in 'seeds' {seeds}")


class PromptFile(StrictModel):
    """A text in a file."""

    file: str = Field(min_length=1, description="path, relative to the study file")


SystemPrompt = str | PromptFile
"""A system prompt: its text, or the file that has it."""


def _hash_of(values: tuple[Any, ...]) -> int:
    try:
        return hash(values)
    except TypeError:
        return hash(tuple(map(_hashable, values)))


def _hashable(value: Any) -> Hashable:
    if isinstance(value, dict):
        return frozenset((key, _hashable(item)) for key, item in value.items())
    return tuple(map(_hashable, value)) if isinstance(value, list | tuple) else value


def number_label(value: float) -> str:
    """Return a short text for a number, to be used in names. Different numbers have different texts."""
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def name_from(names: Callable[[], Sequence[str]]) -> tuple[BeforeValidator, Any]:
    """Return what makes a field of text take only the names that `names` returns, as a Literal of them would.

    The names are asked for whenever a value is checked or a schema is made, so they can be those of a table.
    """

    def check(value: Any) -> Any:
        if value in names():
            return value
        raise PydanticKnownError("literal_error", {"expected": ", ".join(names())})

    def list_names(schema: dict[str, Any]) -> None:
        schema["enum"] = [*names()]

    return BeforeValidator(check), Field(json_schema_extra=list_names)


def as_list(value: Any) -> Any:
    """Return a list as is, and any other value as a list with that value. Used by validators that run first."""
    return value if isinstance(value, list) else [value]


def none_or_list(value: Any) -> Any:
    """Return an empty list for None, and any other value as `as_list` does."""
    return [] if value is None else as_list(value)


def none_scalar_or_list_schema(schema: dict[str, Any]) -> None:
    """Change the JSON Schema of a list so that it also allows null and a single value in place of a list."""
    scalar_or_list_schema(schema)
    schema["anyOf"].append({"type": "null"})


def scalar_or_list_schema(schema: dict[str, Any]) -> None:
    """Change the JSON Schema of a list so that it also allows a single value in place of a list."""
    array_schema = {key: schema.pop(key) for key in ("type", "items", "minItems") if key in schema}
    schema["anyOf"] = [array_schema["items"], array_schema]
