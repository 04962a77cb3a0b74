"""What all parts of a study file are made of."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticKnownError

from actors.engine import Sampling

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]


class StrictModel(BaseModel):
    """Unknown keys are errors, values are not coerced, and nothing changes after validation.

    Equal values have the same hash, also where fields hold lists and mappings: what is cached can be found by them.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    def __hash__(self) -> int:
        values = tuple(vars(self).values())
        try:
            return hash(values)
        except TypeError:
            return hash(tuple(map(_hashable, values)))


class World(StrictModel):
    """Tasks of the bundled closed world: every answer can be checked. `levels` counts the constraints of a task."""

    count: int = Field(gt=0, le=1_000_000)
    levels: list[int] = Field(default=[0], min_length=1)


class SamplingSpec(StrictModel):
    """How tokens are drawn; temperature 0 is greedy."""

    temperature: float = Field(default=0.0, ge=0, le=2)
    top_p: float = Field(default=1.0, gt=0, le=1)
    max_tokens: int = Field(default=512, gt=0)

    @property
    def sampling(self) -> Sampling:
        """In the engine's words."""
        return Sampling(self.temperature, self.top_p, self.max_tokens)


def _hashable(value: Any) -> Hashable:
    if isinstance(value, dict):
        return frozenset((key, _hashable(item)) for key, item in value.items())
    return tuple(map(_hashable, value)) if isinstance(value, list | tuple) else value


def number_label(value: float) -> str:
    """Return a short text for a number that no other number has: names are made of it."""
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
    """A list, of one where something else is given: for validators that run first."""
    return value if isinstance(value, list) else [value]


def scalar_or_list_schema(schema: dict[str, Any]) -> None:
    """What the JSON Schema of a list says where one value may stand for a list of one."""
    array_schema = {key: schema.pop(key) for key in ("type", "items", "minItems")}
    schema["anyOf"] = [array_schema["items"], array_schema]
