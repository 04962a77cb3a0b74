"""The part of a study file that says how instructions are evolved."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from pipelines.study.spec.autoif import AutoIF
from pipelines.study.spec.basics import Name, SamplingSpec, StrictModel

Variant = Literal["paper", "authors"]
Assignment = Literal["rotation", "random"]


class LengthBound(StrictModel):
    """How much longer than the one before an evolved instruction may be, in words (split at white space)."""

    words: int | None = Field(default=None, gt=0, description="so many words more, at most")
    ratio: float | None = Field(default=None, ge=1, description="so many times as long, at most")

    @model_validator(mode="after")
    def _some_bound(self) -> LengthBound:
        if self.words is None and self.ratio is None:
            raise ValueError("give 'words', 'ratio' or both")
        return self


class Elimination(StrictModel):
    """Failed evolutions are undone: the un-evolved instruction goes on to the next round (WizardLM, 2304.12244)."""

    judge: Name | None = Field(
        default=None, description="who says whether an evolution gained anything; default: the evolver itself"
    )
    max_tokens: int = Field(default=16, gt=0, description="of the judge's label; more for a judge that thinks first")
    sorry_words: int = Field(
        default=80, ge=0, description="an answer that says sorry in fewer words means: too hard to answer"
    )


class Optimization(StrictModel):
    """How Auto Evol-Instruct improves its method, for each evolver (2406.00770, App. F.2 gives the defaults)."""

    optimizer: Name = Field(description="the model that reads how evolutions went, and writes better methods")
    variant: Variant = Field(
        default="paper",
        description="paper: a fixed dev set, the lowest failure rate, an early stop; authors: as their code has it",
    )
    subset: int = Field(default=2000, gt=0, description="seeds that the optimization draws from")
    batch: int = Field(default=10, gt=0, description="seeds whose evolution the optimizer reads in a step")
    dev: int = Field(default=50, gt=0, description="seeds on which candidates are measured")
    candidates: int = Field(default=5, gt=0, description="methods that are drawn in a step")
    steps: int = Field(default=10, gt=0, description="at most so many improvements")
    rounds: int = Field(default=1, gt=0, description="of evolution that the optimizer sees of each seed")
    sampling: SamplingSpec = Field(
        default=SamplingSpec(temperature=0.6, top_p=0.95, max_tokens=2048), description="the optimizer's"
    )


def _expand_boolean(value: Any) -> Any:
    """`true` is a block of defaults, `false` is none."""
    if isinstance(value, bool):
        return {} if value else None
    return value


def _allow_boolean_schema(schema: dict[str, Any]) -> None:
    schema["anyOf"] = [*schema["anyOf"], {"type": "boolean"}]


Method = Literal["evol-instruct", "auto-evol-instruct", "autoif"]
# the keys that have a meaning with some methods only
_FIELDS_OF_METHOD: dict[Method, frozenset[str]] = {
    "evol-instruct": frozenset({"breadth", "assignment", "input", "growth", "elimination", "probabilities"}),
    "auto-evol-instruct": frozenset({"optimization", "input", "growth", "elimination", "probabilities"}),
    "autoif": frozenset({"autoif"}),
}


class Evolution(StrictModel):
    """Which models rewrite the instructions, how, and how often (2412.11231, App. A.1; 2406.00770; 2406.13542)."""

    name: Name = Field(default="", description="default: the method")
    method: Method = "evol-instruct"
    evolvers: list[Name] = Field(min_length=1)
    rounds: int = Field(default=3, ge=1, le=10, description="default: 3 with evol-instruct, else 1")
    autoif: AutoIF | None = Field(default=None, description="autoif: what is asked, how often, and what is kept")
    optimization: Optimization | None = Field(
        default=None, description="auto-evol-instruct: how to improve its method; default: the first one as it is"
    )
    breadth: bool = Field(default=True, description="a fifth method in the rotation: a new instruction, same domain")
    assignment: Assignment = Field(
        default="rotation",
        description="which row gets which method: by its place in the seed file and the round, or drawn at random",
    )
    input: Literal["copy", "merge"] = Field(
        default="copy",
        description="copy: the evolver does not see a row's input, which stays; merge: it joins the instruction",
    )
    growth: LengthBound | None = Field(default=None, description="bounds on the length of an evolved instruction")
    elimination: Annotated[
        Elimination | None, BeforeValidator(_expand_boolean), Field(json_schema_extra=_allow_boolean_schema)
    ] = None
    probabilities: int = Field(
        default=0, ge=0, description="first tokens of an evolver's reply whose probabilities are kept; the paper's 5"
    )
    sampling: SamplingSpec = SamplingSpec(temperature=0.7, top_p=0.95, max_tokens=2048)

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_the_method(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        method = value.get("method", "evol-instruct")
        return {"name": method, **({} if method == "evol-instruct" else {"rounds": 1}), **value}

    @model_validator(mode="after")
    def _one_method(self) -> Evolution:
        foreign = frozenset[str]().union(*_FIELDS_OF_METHOD.values()) - _FIELDS_OF_METHOD[self.method]
        for name in sorted(foreign & self.model_fields_set):
            raise ValueError(f"'{name}' has no meaning with the method '{self.method}'")
        if self.method == "autoif" and self.autoif is None:
            raise ValueError("the method 'autoif' needs the block 'autoif', with at least 'instructions'")
        if self.method == "autoif" and self.rounds != 1:
            raise ValueError("the method 'autoif' has one round")
        return self
