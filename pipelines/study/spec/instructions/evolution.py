"""The `evolution` block of a study file: how models rewrite instructions."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from pipelines.study.spec.common.basics import ModelName, Name, SamplingSpec, StrictModel, SystemPrompt, name_from
from pipelines.study.spec.instructions.autoif import AutoIF

Variant = Literal["paper", "authors"]
Assignment = Literal["rotation", "random"]
Turn = Literal["last", "first"]
OnFailure = Literal["drop", "keep", "retry"]


class LengthBound(StrictModel):
    """Bounds on the number of words (split at white space) of an evolved instruction relative to its predecessor."""

    words: int | None = Field(default=None, gt=0, description="maximum number of added words")
    ratio: float | None = Field(default=None, ge=1, description="maximum ratio of the lengths")

    @model_validator(mode="after")
    def _some_bound(self) -> LengthBound:
        if self.words is None and self.ratio is None:
            raise ValueError("give 'words', 'ratio' or both")
        return self


class Elimination(StrictModel):
    """Undoes failed evolutions: the next round continues with the un-evolved instruction (WizardLM, 2304.12244)."""

    judge: ModelName | None = Field(
        default=None, description="model that decides whether an evolution gained anything; default: the evolver"
    )
    max_tokens: int = Field(
        default=16, gt=0, description="limit of the judge's label; larger for a judge that reasons first"
    )
    sorry_words: int = Field(
        default=80, ge=0, description="an answer that says sorry in fewer words marks its instruction as too hard"
    )


class Optimization(StrictModel):
    """How Auto Evol-Instruct improves the method of each evolver (2406.00770; defaults from its App. F.2)."""

    optimizer: ModelName = Field(description="model that analyses evolutions and writes better methods")
    variant: Variant = Field(
        default="paper",
        description="paper: fixed dev set, lowest failure rate, early stop; authors: as in the authors' code",
    )
    subset: int = Field(default=2000, gt=0, description="number of seeds from which the optimization draws")
    batch: int = Field(default=10, gt=0, description="number of seeds whose evolution the optimizer reads per step")
    dev: int = Field(default=50, gt=0, description="number of seeds on which candidates are measured")
    candidates: int = Field(default=5, gt=0, description="number of methods that are sampled per step")
    steps: int = Field(default=10, gt=0, description="maximum number of improvements")
    rounds: int = Field(default=1, gt=0, description="rounds of evolution of each seed that the optimizer reads")
    sampling: SamplingSpec = Field(
        default=SamplingSpec(temperature=0.6, top_p=0.95, max_tokens=2048),
        description="sampling of the optimizer; default with authors: greedy, at most 1500 tokens",
    )

    @model_validator(mode="before")
    @classmethod
    def _sampling_of_the_variant(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("variant") == "authors":
            return {"sampling": {"temperature": 0.0, "top_p": 0.9, "max_tokens": 1500}, **value}
        return value

    @model_serializer(mode="wrap")
    def _with_sampling(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Write `sampling` whenever another default would be read in its place."""
        content: dict[str, Any] = handler(self)
        return content | ({"sampling": self.sampling.model_dump()} if self.variant == "authors" else {})


def _expand_boolean(value: Any) -> Any:
    """Convert `true` to a block of defaults, and `false` to None."""
    if isinstance(value, bool):
        return {} if value else None
    return value


def _allow_boolean_schema(schema: dict[str, Any]) -> None:
    schema["anyOf"] = [*schema["anyOf"], {"type": "boolean"}]


_REWRITING = frozenset({"input", "turn", "growth", "elimination", "probabilities", "on_failure", "retries", "system"})
# the methods, with the keys that are allowed with some of them only
KEYS_OF_METHOD: dict[str, frozenset[str]] = {
    "evol-instruct": _REWRITING | {"breadth", "assignment"},
    "auto-evol-instruct": _REWRITING | {"optimization"},
    "autoif": frozenset({"autoif", "system"}),
}
Method = Annotated[str, *name_from(lambda: [*KEYS_OF_METHOD])]


class Evolution(StrictModel):
    """Which models rewrite the instructions, how, and how often (2412.11231, App. A.1; 2406.00770; 2406.13542)."""

    name: Name = Field(default="", description="default: the method")
    method: Method = "evol-instruct"
    evolvers: list[ModelName] = Field(min_length=1)
    rounds: int = Field(default=3, ge=1, le=10, description="default: 3 with evol-instruct, else 1")
    autoif: AutoIF | None = Field(
        default=None, description="autoif: settings of its generation, verification and filtering"
    )
    optimization: Optimization | None = Field(
        default=None, description="auto-evol-instruct: how to improve its method; default: use the initial method"
    )
    breadth: bool = Field(default=True, description="add a fifth method: a new instruction of the same domain")
    assignment: Assignment = Field(
        default="rotation",
        description="how rows are assigned methods: by their index in the seed file and the round, or at random",
    )
    input: Literal["copy", "merge"] = Field(
        default="copy",
        description="copy: a row's input is kept and not shown to the evolver; merge: it is added to the instruction",
    )
    turn: Turn = Field(
        default="last",
        description="the user turn of a conversation that is rewritten: the last (the instruction) or the first",
    )
    system: SystemPrompt | None = Field(
        default=None, description="system prompt of the evolvers' requests for instructions: a text, or {file: ...}"
    )
    growth: LengthBound | None = Field(default=None, description="bounds on the length of an evolved instruction")
    elimination: Annotated[
        Elimination | None, BeforeValidator(_expand_boolean), Field(json_schema_extra=_allow_boolean_schema)
    ] = None
    on_failure: OnFailure = Field(
        default="drop",
        description="a rewrite that fails. drop: its row is rejected; keep: the row stays, with the instruction from "
        "before; retry: the evolver is asked again, and then the row is rejected",
    )
    retries: int = Field(default=3, ge=1, le=20, description="on_failure: retry: how often an evolver is asked again")
    probabilities: int = Field(
        default=0, ge=0, description="number of first tokens of a reply whose probabilities are kept (paper: 5)"
    )
    sampling: SamplingSpec = SamplingSpec(temperature=0.7, top_p=0.95, max_tokens=2048)

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_the_method(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        method = value.get("method", "evol-instruct")
        return {"name": method, **({} if method == "evol-instruct" else {"rounds": 1}), **value}

    @model_serializer(mode="wrap")
    def _with_rounds(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Write `rounds` whenever another default would be read in its place."""
        content: dict[str, Any] = handler(self)
        return content | ({"rounds": self.rounds} if self.method != "evol-instruct" and self.rounds != 1 else {})

    @model_validator(mode="after")
    def _failures(self) -> Evolution:
        if "retries" in self.model_fields_set and self.on_failure != "retry":
            raise ValueError("'retries' is only allowed with 'on_failure: retry'")
        if self.on_failure == "retry" and self.sampling.temperature == 0:
            raise ValueError("'on_failure: retry' needs a temperature above 0: greedy replies are all the same")
        if self.on_failure == "keep" and self.elimination:
            raise ValueError("'on_failure: keep' is not allowed with 'elimination', which keeps failed rows out")
        return self

    @model_validator(mode="after")
    def _one_method(self) -> Evolution:
        foreign = frozenset[str]().union(*KEYS_OF_METHOD.values()) - KEYS_OF_METHOD[self.method]
        for name in sorted(foreign & self.model_fields_set):
            raise ValueError(f"'{name}' is not allowed with the method '{self.method}'")
        if self.method == "autoif" and self.autoif is None:
            raise ValueError("the method 'autoif' needs the block 'autoif', with at least 'instructions'")
        if self.method == "autoif" and self.rounds != 1:
            raise ValueError("the method 'autoif' has only one round: set 'rounds' to 1 or omit it")
        return self
