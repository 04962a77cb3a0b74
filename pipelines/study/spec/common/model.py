"""An entry of the `models` block of a study file: a model's source, its engine, and the resources of its replicas."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from actors.engine import OptionValue
from actors.engines.registry import AUTO_ENGINE, engine_names
from pipelines.study.spec.common.basics import StrictModel, name_from

_UNITS = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}


def _parameter_count(value: Any) -> Any:
    """Convert a text such as `7B` or `0.5b` to a number, and leave anything else as it is."""
    if isinstance(value, str) and value[-1:].upper() in _UNITS:
        try:
            return float(value[:-1]) * _UNITS[value[-1].upper()]
        except ValueError:
            return value
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


class Price(StrictModel):
    """What an endpoint costs: dollars per million tokens that it reads and writes."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)

    def dollars(self, tokens_in: float, tokens_out: float) -> float:
        """Return the price of these tokens."""
        return (self.input * tokens_in + self.output * tokens_out) / 1e6


class Model(StrictModel):
    """A model and the resources of its replicas. Fields marked as placement never change a result."""

    source: str = Field(description="'bundled:NAME', a local folder (relative to the study file) or a hub name")
    revision: str | None = Field(default=None, description="hub models: the commit")
    engine: Annotated[str, *name_from(engine_names)] = Field(
        default=AUTO_ENGINE,
        description="auto: vllm for a model with GPUs, else transformers; classifier: rewards and NLI",
    )
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    max_length: int = Field(default=1024, gt=0, description="maximum number of tokens of prompt and reply together")
    chat_template: str | None = Field(
        default=None, description="a file with a Jinja chat template (relative to the study file), in place of its own"
    )
    template: dict[str, str | int | float | bool] = Field(
        default={},
        description=(
            "arguments of the chat template, such as {enable_thinking: false}; 'date' (2024-07-26 by default) is the "
            "date that templates see"
        ),
    )
    family: str | None = Field(
        default=None,
        description="placement: the family in which teachers are compared by size; default: the model_type of its "
        "config.json",
    )
    parameters: Annotated[float, BeforeValidator(_parameter_count, json_schema_input_type=float | str)] | None = Field(
        default=None,
        gt=0,
        description="placement: the number of parameters, such as 7e9 or 7B, if they cannot be counted",
    )
    options: dict[str, OptionValue] = Field(default={}, description="engine settings that change results")
    runtime: dict[str, OptionValue] = Field(
        default={}, description="placement: engine settings that do not change results, such as batch sizes"
    )
    price: Price | None = Field(
        default=None, description="placement: an endpoint's price in dollars per million tokens, for plans and budgets"
    )
    replicas: int = Field(default=1, gt=0, description="placement: number of replicas (engine actors)")
    max_replicas: int | None = Field(
        default=None, gt=0, description="placement: maximum number of replicas while requests queue; default: replicas"
    )
    in_flight: int | None = Field(
        default=None, gt=0, description="placement: concurrent requests to one replica; default: depends on the engine"
    )
    shared: bool = Field(
        default=False, description="placement: share one pool with all studies that run on the cluster"
    )
    cpus: float = Field(default=0.5, ge=0, description="placement: CPUs of one replica")
    gpus: float = Field(default=0, ge=0, description="placement: GPUs of one replica")
    accelerator: str = Field(default="", description="placement: Ray's name of the GPU type, such as L4 or H100")
