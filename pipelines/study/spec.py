"""The study file as frozen, strict types: the JSON Schema and the keys of steps are made from them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from actors.engine import Bos
from pipelines.score.car import Mode
from pipelines.study.basics import Name, Strict, World, listed, or_one
from pipelines.study.benchmarks import Benchmark
from pipelines.study.evolution import Evolution
from pipelines.study.judging import Judging
from pipelines.study.metrics import METRICS, End, Metric
from pipelines.study.recipes import Recipe, Student, with_published
from pipelines.study.responses import Responses

Fraction = Annotated[float, Field(gt=0, le=1)]


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
    engine: Literal["auto", "transformers", "vllm", "classifier", "http", "scripted"] = Field(
        default="auto", description="auto: vllm for a model with GPUs, else transformers; classifier: rewards and NLI"
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
    accelerator: str = Field(default="", description="placement: the kind of GPU, as Ray calls it: L4, H100")


class ScoringOptions(Strict):
    """What exactly is scored of a pair."""

    form: Literal["raw", "chat"] = Field(default="raw", description="raw text, or the scorer's chat template")
    bos: Bos = Field(default="auto", description="the BOS in front of each text; auto: as the tokenizer has it")
    boundary: Literal["answer", "question"] = Field(
        default="answer", description="to which of them the newline between raw texts belongs"
    )
    probabilities: int = Field(default=5, ge=0, description="first tokens of an answer whose probabilities are kept")


class Scoring(ScoringOptions):
    """Perplexities, IFD and IC-IFD of every pair under one model (2412.11231, eq. 1 and 2)."""

    scorer: Name


class Diversity(Strict):
    """How near the instructions of a set are to one another (2412.11231, minimum neighbor distance)."""

    encoder: str = Field(
        description="sentence-transformers model: an installed package, a local folder (relative to the study file) "
        "or a hub name"
    )
    revision: str | None = Field(default=None, description="hub models: the commit")


class Contamination(Strict):
    """Which instructions overlap with benchmark tasks: by shared n-grams of words (2406.00770), by embeddings."""

    against: list[str] = Field(
        min_length=1, description="benchmarks of this study, or files of texts (relative to the study file)"
    )
    ngrams: list[Annotated[int, Field(gt=0)]] = Field(default=[13, 8], min_length=1, description="in words")
    near: float | None = Field(
        default=None, gt=0, le=1, description="also embeddings whose cosine is not below this; needs 'diversity'"
    )


class Car(Strict):
    """CAR of every data set (2411.07133): its mean reward, less the harder its answers are for the scorer."""

    betas: list[Annotated[float, Field(ge=0)]] = Field(default=[0.0, 0.5, 1.0, 2.0, 3.0], min_length=1)
    mode: Mode = Field(
        default="raw",
        description="what is done with rewards before, which are not to be negative: nothing, "
        "'shift' (less the least of the compared sets) or 'sigmoid' (of each set's mean)",
    )


class Selection(Strict):
    """Which pairs go into training: the best by a metric, within bounds.

    Of the pairs within all bounds the best `keep` share of `share_of` (all pairs, or those within the bounds) are
    chosen, or `size` pairs. `equal` chooses no more than the same selection finds in every set of the same seeds.
    """

    name: Name
    by: Metric = "random"
    keep: Fraction = 1.0
    share_of: Literal["all", "left"] = Field(default="all", description="'left': of the pairs within the bounds")
    size: int | None = Field(default=None, gt=0, description="this many pairs instead of a share")
    equal: bool = Field(default=False, description="as many as the smallest selection of the same seeds has")
    order: End | None = Field(default=None, description="the end of the metric that is kept; default: the better one")
    above: float | None = Field(default=None, description="only pairs whose metric is greater")
    below: float | None = Field(default=None, description="only pairs whose metric is less: 1 with IFD: Superfiltering")
    at_most: float | None = Field(
        default=None, description="only pairs whose metric is not greater: 1 with IFD: Cherry"
    )
    apart: float | None = Field(
        default=None, gt=0, le=4, description="pass over an instruction that is nearer to a better one chosen before"
    )
    reward: Name | None = Field(default=None, description="by reward or car: which reward model, if there are several")
    beta: float = Field(default=1.0, ge=0, description="by car: how much a pair's loss counts")
    mode: Mode = Field(default="raw", description="by car: what is done with rewards, as under the study's 'car'")

    @model_validator(mode="after")
    def _one_amount(self) -> Selection:
        if self.size is not None and self.keep != 1.0:
            raise ValueError("give 'keep' or 'size', not both")
        return self

    @model_validator(mode="after")
    def _of_the_metric(self) -> Selection:
        of = {"reward": ("reward", "car"), "beta": ("car",), "mode": ("car",)}
        for name in sorted(self.model_fields_set & of.keys()):
            if self.by not in of[name]:
                raise ValueError(f"'{name}' belongs to 'by: {of[name][-1]}', and this is 'by: {self.by}'")
        return self

    @property
    def needs(self) -> tuple[str, ...]:
        """The kinds of the steps whose rows are needed beside the pairs."""
        return tuple(dict.fromkeys([*METRICS[self.by].needs, *(["diversity"] if self.apart else [])]))


class Study(Strict):
    """A whole study. The grid is method x evolver x round x teacher x decoding x selection x student."""

    study: Name
    description: str = ""
    seed: int = 0
    seeds: list[Seeds] = Field(min_length=1)
    models: dict[Name, Model] = Field(min_length=1)
    evolution: Annotated[list[Evolution], BeforeValidator(listed), Field(min_length=1, json_schema_extra=or_one)]
    responses: Responses
    scoring: Scoring | None = None
    diversity: Diversity | None = None
    contamination: Contamination | None = None
    rewards: list[Name] = Field(default=[], description="reward models that judge every pair")
    instruction_reward: Name | None = Field(
        default=None,
        description="a reward model that judges evolved instructions as answers to the prompts that asked for them",
    )
    car: Car = Car()
    judging: Judging | None = None
    selection: list[Selection] = Field(default=[Selection(name="all")], min_length=1)
    recipes: dict[Name, Recipe] = Field(default={})
    students: list[Student] = Field(default=[])
    benchmarks: list[Benchmark] = Field(default=[])
    published: str | None = Field(
        default=None,
        description="CSV file (relative to the study file) of published numbers to stand beside ours: 'value', "
        "'source', and any columns of results.csv that say which result it is",
    )

    @model_validator(mode="before")
    @classmethod
    def _papers_recipes(cls, value: Any) -> Any:
        return with_published(value)
