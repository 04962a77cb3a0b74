"""The `recipes` and `students` blocks of a study file: hyper-parameters, also of papers, and resources of trainings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import ConfigDict, Field, model_validator

from actors.inference.templates.student_templates import OWN
from actors.training.optimization.schedule import Scheduler
from actors.training.spec import ALL_LINEAR, Dtype, Loss, OptimizerName, Sharding
from pipelines.study.spec.common.basics import (
    ModelName,
    Name,
    SeedList,
    StrictModel,
    check_distinct_seeds,
    several_seeds,
)

PUBLISHED_RECIPES_FILE = Path(__file__).with_name("recipes.yaml")
FROM_SCHEMA = {"type": "string", "description": "a paper's recipe, which the other fields override"}


@cache
def published_recipes() -> Mapping[str, Mapping[str, Any]]:
    """Return the recipes of papers by name, with the values of the papers' tables."""
    from ruamel.yaml import YAML

    return YAML(typ="safe").load(PUBLISHED_RECIPES_FILE)


class Recipe(StrictModel):
    """Hyper-parameters of fine-tuning, with defaults from 2412.11231, Table 6."""

    model_config = ConfigDict(
        json_schema_extra=lambda schema: cast(Any, schema)["properties"].update({"from": FROM_SCHEMA})
    )

    tuning: Literal["full", "lora"] = "full"
    learning_rate: float = Field(default=2e-5, gt=0)
    epochs: int = Field(default=3, gt=0)
    batch_size: int = Field(default=64, gt=0, description="rows per optimizer step, over all workers")
    micro_batch_size: int = Field(default=1, gt=0, description="rows per forward pass of one worker")
    warmup_ratio: float = Field(default=0.03, ge=0, lt=1)
    warmup_steps: int | None = Field(default=None, ge=0, description="replaces warmup_ratio")
    scheduler: Scheduler = Field(
        default="cosine", description="the learning rate after the warm-up; cosine and linear fall to 0"
    )
    optimizer: OptimizerName = Field(default="adamw", description="adafactor needs 'sharding: none'")
    weight_decay: float = Field(default=0.0, ge=0)
    max_length: int = Field(default=2048, gt=0)
    template: str = Field(
        default=OWN,
        description="chat template of the students: own (the base's, or default if it has none), default, "
        "default-0.9.1, alpaca, vicuna, or a Jinja file (relative to the study file)",
    )
    loss: Loss = Field(
        default="last",
        description="what is learned of a conversation: its answer, or every turn of the assistant (all)",
    )
    packing: bool = Field(default=False, description="concatenate the rows of a forward pass instead of padding them")
    precision: Dtype = Field(default="auto", description="auto: the model's dtype")
    lora_rank: int = Field(default=8, gt=0)
    lora_alpha: int = Field(default=8, gt=0)
    lora_dropout: float = Field(default=0.0, ge=0, lt=1)
    lora_targets: Literal["all-linear"] | list[str] = Field(
        default=ALL_LINEAR, description="all linear layers except the head, or names such as q_proj"
    )

    @model_validator(mode="before")
    @classmethod
    def _from(cls, value: Any) -> Any:
        """Fill in the values of the paper's recipe that `from` names."""
        if not isinstance(value, dict) or "from" not in value:
            return cast(Any, value)
        changes = dict(cast(dict[str, Any], value))
        name = changes.pop("from")
        if name not in published_recipes():
            raise ValueError(f"unknown recipe of a paper '{name}'; known recipes: {', '.join(published_recipes())}")
        start = dict(published_recipes()[name])
        if "warmup_ratio" in changes:
            start.pop("warmup_steps", None)
        return start | changes


class TrainingResources(StrictModel):
    """Where and how a training runs. These settings never change a result."""

    workers: int = Field(default=1, gt=0, description="placement: worker processes of a training")
    sharding: Sharding = Field(
        default="none",
        description="placement: how workers shard the model's state; none: full replicas (DDP), fsdp: FSDP2, "
        "zero2 and zero3: DeepSpeed",
    )
    cpus: float | None = Field(default=None, gt=0, description="placement: CPUs of one worker; default: the model's")
    gpus: float | None = Field(
        default=None,
        ge=0,
        description="placement: GPUs of one worker: 0, 1 or a share of one; default: 1 if the model has GPUs",
    )
    gradient_checkpointing: bool = Field(
        default=False, description="placement: uses less memory, but a third more time"
    )
    checkpoint_steps: int | None = Field(
        default=None, gt=0, description="placement: optimizer steps between checkpoints; default: one epoch"
    )
    together: int = Field(
        default=8,
        gt=0,
        description="placement: maximum number of LoRA students with the same base and recipe that one process trains",
    )

    def worker_gpus(self, model_gpus: float) -> float:
        """Return the GPUs of each worker, for a model that is served on `model_gpus` GPUs: a worker uses one."""
        return min(1.0, math.ceil(model_gpus)) if self.gpus is None else self.gpus


class Student(TrainingResources):
    """A base model and the name of its recipe, which is a recipe of the study or of a paper."""

    model: ModelName
    recipe: Name
    seeds: SeedList = Field(
        default=1, description="seeds of its trainings: how many, from the study's seed, or a list; default: that seed"
    )

    @model_validator(mode="after")
    def _distinct_seeds(self) -> Student:
        check_distinct_seeds(self.seeds)
        return self

    @property
    def has_several_seeds(self) -> bool:
        """Whether it is trained with several seeds."""
        return several_seeds(self.seeds)

    @property
    def resources(self) -> TrainingResources:
        """Only the settings of where and how its trainings run."""
        return _resources((self,))


@lru_cache(maxsize=1024)  # a grid asks for each training
def _resources(of: tuple[Student]) -> TrainingResources:
    (student,) = of
    return TrainingResources(**student.model_dump(include=set(TrainingResources.model_fields)))


def add_published_recipes(study: Any) -> Any:
    """Return a study file's content with the recipes of papers that its students name added to `recipes`."""
    if not isinstance(study, dict):
        return study
    content = cast(dict[str, Any], study)
    students, own = content.get("students"), content.get("recipes", {})
    if not isinstance(students, list) or not isinstance(own, dict):
        return content
    named = [one.get("recipe") for one in cast(list[Any], students) if isinstance(one, dict)]
    used = {
        name: dict(published_recipes()[name]) for name in named if isinstance(name, str) and name in published_recipes()
    }
    return content | {"recipes": used | own} if used else content
