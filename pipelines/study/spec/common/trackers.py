"""The `trackers` block of a study file: where losses, scores and costs are logged while the study runs."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, model_validator

from pipelines.study.spec.common.basics import StrictModel

TrackerName = Literal["tensorboard", "wandb", "mlflow", "trackio"]
TRACKER_NAMES: tuple[TrackerName, ...] = get_args(TrackerName)
NO_SERVER = ("tensorboard", "trackio")


class Tracker(StrictModel):
    """A tracker, which gets a run for each training and one for the study. It never changes a result."""

    tracker: TrackerName = Field(description="placement: the library that logs")
    project: str = Field(
        default="evolgrid", min_length=1, description="placement: project (wandb, trackio) or experiment (mlflow)"
    )
    offline: bool = Field(default=False, description="placement: write to local files only, without a server")
    dir: str | None = Field(
        default=None,
        min_length=1,
        description="placement: folder of local files (relative to the study file); default: in the store's folder of "
        "the study or, if the store is a URL, 'evolgrid-trackers' in the current folder",
    )
    uri: str | None = Field(default=None, min_length=1, description="placement: tracking server of mlflow")

    @model_validator(mode="after")
    def _server(self) -> Tracker:
        if self.uri is None:
            return self
        if self.tracker != "mlflow" or self.offline:
            raise ValueError("'uri' is only allowed for 'tracker: mlflow' without 'offline'")
        parts = urlsplit(self.uri)
        if parts.username or parts.password or parts.query:
            names = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
            raise ValueError(f"'uri' contains credentials or a query; use the environment's {names} instead")
        return self


def _from_name(value: Any) -> Any:
    return {"tracker": value} if isinstance(value, str) else value


def _name_or_block(schema: dict[str, Any]) -> None:
    schema["items"] = {"anyOf": [{"type": "string", "enum": [*TRACKER_NAMES]}, schema["items"]]}


Trackers = Annotated[list[Annotated[Tracker, BeforeValidator(_from_name)]], Field(json_schema_extra=_name_or_block)]
"""A list of trackers, each of which may be given by its name alone."""
