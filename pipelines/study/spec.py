"""The study file as frozen, strict types: the JSON Schema and the keys of steps are made from them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from pipelines.evolve.failure import Variant
from pipelines.evolve.methods import Assignment

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Fraction = Annotated[float, Field(gt=0, le=1)]
Metric = Literal["ifd", "ic_ifd", "ppl_instruction", "ppl_answer", "ppl_conditional", "length", "random"]


class Strict(BaseModel):
    """Unknown keys are errors, values are not coerced, and nothing changes after validation."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class World(Strict):
    """Tasks of the bundled closed world: every answer can be checked. `levels` counts the constraints of a task."""

    count: int = Field(gt=0, le=1_000_000)
    levels: list[int] = Field(default=[0], min_length=1)


class Seeds(Strict):
    """Where instructions start: a file (JSONL, JSON, CSV or Parquet, .gz allowed) or the bundled world."""

    name: Name
    file: str | None = Field(default=None, description="path, relative to the study file")
    world: World | None = None
    limit: int | None = Field(default=None, gt=0, description="take the first rows only")
    on_bad_row: Literal["refuse", "quarantine"] = "refuse"

    @model_validator(mode="after")
    def _one_source(self) -> Seeds:
        if (self.file is None) == (self.world is None):
            raise ValueError("give exactly one of 'file' and 'world'")
        return self


class Model(Strict):
    """A model and where it runs. Fields marked as placement never change a result."""

    source: str = Field(description="'bundled:NAME', a local folder (relative to the study file) or a hub name")
    revision: str | None = Field(default=None, description="hub models: the commit")
    engine: Literal["auto", "transformers", "vllm", "http", "scripted"] = Field(
        default="auto", description="auto: vllm for a model with GPUs, else transformers"
    )
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    max_length: int = Field(default=1024, gt=0, description="tokens of prompt and reply together")
    options: dict[str, str | int | float | bool] = Field(default={}, description="engine settings that change results")
    runtime: dict[str, str | int | float | bool] = Field(default={}, description="placement: batch sizes and the like")
    replicas: int = Field(default=1, gt=0, description="placement: engine actors of this model")
    max_replicas: int | None = Field(
        default=None, gt=0, description="placement: as many engine actors while requests queue up; default: replicas"
    )
    in_flight: int | None = Field(
        default=None, gt=0, description="placement: requests at one engine actor; default: by engine"
    )
    shared: bool = Field(default=False, description="placement: one pool for all studies that run on the cluster")
    cpus: float = Field(default=0.5, ge=0, description="placement: CPUs of one replica")
    gpus: float = Field(default=0, ge=0, description="placement: GPUs of one replica")


class SamplingSpec(Strict):
    """How tokens are drawn; temperature 0 is greedy."""

    temperature: float = Field(default=0.0, ge=0, le=2)
    top_p: float = Field(default=1.0, gt=0, le=1)
    max_tokens: int = Field(default=512, gt=0)


class Growth(Strict):
    """How much longer than the one before an evolved instruction may be, in words (split at white space)."""

    words: int | None = Field(default=None, gt=0, description="so many words more, at most")
    ratio: float | None = Field(default=None, ge=1, description="so many times as long, at most")

    @model_validator(mode="after")
    def _some_bound(self) -> Growth:
        if self.words is None and self.ratio is None:
            raise ValueError("give 'words', 'ratio' or both")
        return self


class Elimination(Strict):
    """Failed evolutions are undone: the un-evolved instruction goes on to the next round (WizardLM, 2304.12244)."""

    judge: Name | None = Field(
        default=None, description="who says whether an evolution gained anything; default: the evolver itself"
    )
    max_tokens: int = Field(default=16, gt=0, description="of the judge's label; more for a judge that thinks first")
    sorry_words: int = Field(
        default=80, ge=0, description="an answer that says sorry in fewer words means: too hard to answer"
    )


class Optimization(Strict):
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


def _block(value: Any) -> Any:
    """`true` is a block of defaults, `false` is none."""
    if isinstance(value, bool):
        return {} if value else None
    return value


def _or_boolean(schema: dict[str, Any]) -> None:
    schema["anyOf"] = [*schema["anyOf"], {"type": "boolean"}]


class Evolution(Strict):
    """Which models rewrite the instructions, how, and how often (2412.11231, App. A.1; 2406.00770)."""

    method: Literal["evol-instruct", "auto-evol-instruct"] = "evol-instruct"
    evolvers: list[Name] = Field(min_length=1)
    rounds: int = Field(default=3, ge=1, le=10, description="default: 3, or 1 with auto-evol-instruct")
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
    growth: Growth | None = Field(default=None, description="bounds on the length of an evolved instruction")
    elimination: Annotated[Elimination | None, BeforeValidator(_block), Field(json_schema_extra=_or_boolean)] = None
    sampling: SamplingSpec = SamplingSpec(temperature=0.7, top_p=0.95, max_tokens=2048)

    @model_validator(mode="before")
    @classmethod
    def _published_rounds(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("method") == "auto-evol-instruct":
            return {"rounds": 1, **value}
        return value

    @model_validator(mode="after")
    def _one_method(self) -> Evolution:
        foreign = {"optimization"} if self.method == "evol-instruct" else {"breadth", "assignment"}
        for name in sorted(foreign & self.model_fields_set):
            raise ValueError(f"'{name}' has no meaning with the method '{self.method}'")
        return self


class Decoding(SamplingSpec):
    """A named way in which teachers answer."""

    name: Name


class Responses(Strict):
    """Which models answer the instructions, and how."""

    teachers: list[Name] = Field(min_length=1)
    decodings: list[Decoding] = Field(default=[Decoding(name="greedy", max_tokens=2048)], min_length=1)
    answer_seeds: bool = Field(default=True, description="also answer the un-evolved seeds: the round 0 baseline")


class Scoring(Strict):
    """Perplexities, IFD and IC-IFD of every pair under one model (2412.11231, eq. 1 and 2)."""

    scorer: Name


class Selection(Strict):
    """Which share of the scored pairs goes into training. `order` says which end of the metric is kept."""

    name: Name
    by: Metric = "random"
    keep: Fraction = 1.0
    order: Literal["high", "low"] = "high"

    @property
    def needs_scores(self) -> bool:
        """Whether the metric comes from the scoring step."""
        return self.by not in ("random", "length")


class Recipe(Strict):
    """Hyper-parameters of one fine-tuning (2412.11231, Table 6 gives the defaults)."""

    tuning: Literal["full", "lora"] = "full"
    learning_rate: float = Field(default=2e-5, gt=0)
    epochs: int = Field(default=3, gt=0)
    batch_size: int = Field(default=64, gt=0, description="rows of one optimizer step, over all workers")
    micro_batch_size: int = Field(default=1, gt=0, description="rows of one forward pass of one worker")
    warmup_ratio: float = Field(default=0.03, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0)
    max_length: int = Field(default=2048, gt=0)
    lora_rank: int = Field(default=8, gt=0)
    lora_alpha: int = Field(default=8, gt=0)


class Student(Strict):
    """A base model and the recipe by which it is tuned."""

    model: Name
    recipe: Name


class Benchmark(Strict):
    """What the students are asked after training."""

    name: Name
    world: World
    max_tokens: int = Field(default=64, gt=0)


class Study(Strict):
    """A whole study. The grid is evolver x round x teacher x decoding x selection x student."""

    study: Name
    description: str = ""
    seed: int = 0
    seeds: list[Seeds] = Field(min_length=1)
    models: dict[Name, Model] = Field(min_length=1)
    evolution: Evolution
    responses: Responses
    scoring: Scoring | None = None
    selection: list[Selection] = Field(default=[Selection(name="all")], min_length=1)
    recipes: dict[Name, Recipe] = Field(default={})
    students: list[Student] = Field(default=[])
    benchmarks: list[Benchmark] = Field(default=[])
