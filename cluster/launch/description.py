"""The schema of a cluster description: machine types and limits, clouds, and autoscaling."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from cluster.errors import ClusterError
from cluster.launch.crds import NAME_PATTERN
from cluster.resources.accelerators import GPUS
from cluster.resources.inventory import GIB, Inventory, Node

DEFAULT = Path(__file__).with_name("cluster.yaml")
MAX_NAME_LENGTH = 40
Count = Annotated[int, Field(ge=0)]
Cloud = Literal["aws", "gcp"]
Market = Literal["spot", "on_demand"]


def _check_name(name: str) -> str:
    if len(name) > MAX_NAME_LENGTH or not re.fullmatch(NAME_PATTERN, name):
        allowed = f"at most {MAX_NAME_LENGTH} lower-case letters, digits and '-', first a letter, last not '-'"
        raise ValueError(f"'{name}' is not a valid name for machines on all clouds; use {allowed}")
    return name


Name = Annotated[str, AfterValidator(_check_name)]


class _StrictModel(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Machine(_StrictModel):
    """One machine type. Ray schedules on `cpus` and `gpus`. `instances` maps each cloud to its instance type."""

    cpus: int = Field(gt=0)
    memory_gib: int = Field(gt=0)
    gpus: Count = 0
    gpu: str | None = Field(default=None, description="Ray's name of the GPU, such as L4 or H100")
    disk_gb: int = Field(default=200, gt=0)
    fast_disk: bool = Field(default=False, description="a disk that reads large weights in minutes instead of an hour")
    instances: dict[Cloud, str]

    @model_validator(mode="after")
    def _gpu_is_known(self) -> Machine:
        if (self.gpu is None) != (self.gpus == 0):
            raise ValueError("set 'gpu' (its name) and 'gpus' (their number) together")
        if self.gpu is not None and self.gpu not in GPUS:
            raise ValueError(f"unknown GPU '{self.gpu}'; known: {', '.join(GPUS)}")
        return self


class Worker(Machine):
    """One type of worker, with at most `spot` spot nodes and `on_demand` on-demand nodes at the same time."""

    name: Name
    purpose: str = ""
    spot: Count = 0
    on_demand: Count = 0
    least: Count = Field(default=0, description="on-demand nodes that keep running without work")
    idle_seconds: int | None = Field(default=None, gt=0, description="default: the cluster's idle_minutes")

    @model_validator(mode="after")
    def _can_exist(self) -> Worker:
        if self.spot + self.on_demand == 0:
            raise ValueError(f"worker '{self.name}': 'spot' and 'on_demand' are both 0, so it can never start")
        if self.least > self.on_demand:
            raise ValueError(f"worker '{self.name}': 'least' ({self.least}) exceeds 'on_demand' ({self.on_demand})")
        return self

    def markets(self) -> list[tuple[Market, int]]:
        """Return the markets with their maximum numbers of nodes, in the order in which to try them."""
        both: list[tuple[Market, int]] = [("spot", self.spot), ("on_demand", self.on_demand)]
        return [(market, most) for market, most in both if most]

    def node(self) -> Node:
        """Return one such machine as a node of an inventory."""
        return Node(self.name, self.cpus, self.gpus, self.memory_gib * GIB, self.gpu)


class Aws(_StrictModel):
    """Settings for AWS. `image` is an Ubuntu 24.04 image with NVIDIA's driver. Its id differs between regions."""

    region: str
    zones: list[str] = Field(min_length=1)
    image: str
    instance_profile: str | None = Field(default=None, description="gives nodes access to a store on S3")


class Gcp(_StrictModel):
    """Settings for GCP. `image` is an Ubuntu 24.04 image with NVIDIA's driver."""

    project: str
    region: str
    zone: str
    image: str
    service_account: str | None = Field(default=None, description="gives nodes access to a store on GCS")


class Kubernetes(_StrictModel):
    """Settings for pods. `image` contains evolgrid and its libraries. `spot_selector` are labels of spot nodes."""

    image: str
    spot_selector: dict[str, str]
    gpu_label: str = Field(description="the node label that names the GPU")
    gpu_labels: dict[str, str] = Field(description="the value of `gpu_label` for each GPU")
    job_hours: int = Field(default=72, gt=0, description="a job that takes longer is stopped, with its cluster")


class Description(_StrictModel):
    """A description of a whole cluster."""

    name: Name
    max_workers: int = Field(gt=0)
    upscaling_speed: float = Field(gt=0)
    idle_minutes: int = Field(gt=0)
    head: Machine
    workers: list[Worker] = Field(min_length=1)
    aws: Aws
    gcp: Gcp
    kubernetes: Kubernetes

    @model_validator(mode="after")
    def _fits_together(self) -> Description:
        names = [worker.name for worker in self.workers]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"two workers are named '{min(twice)}'")
        for machine in (self.head, *self.workers):
            if missing := {"aws", "gcp"} - machine.instances.keys():
                raise ValueError(f"'instances' of {getattr(machine, 'name', 'head')} lacks {min(missing)}")
        return self

    def inventory(self) -> Inventory:
        """Return the cluster at its maximum size, without the head, which runs no tasks."""
        counts = [(worker, min(worker.spot + worker.on_demand, self.max_workers)) for worker in self.workers]
        return Inventory(tuple(worker.node() for worker, count in counts for _ in range(count)))


def load(path: Path = DEFAULT) -> Description:
    """Read a description from a YAML file.

    Raises:
        ClusterError: The file cannot be read or is invalid. The message names the invalid keys.
    """
    from ruamel.yaml import YAML, YAMLError

    try:
        return Description.model_validate(YAML(typ="safe").load(path.read_text()))
    except (OSError, YAMLError) as error:
        raise ClusterError(f"cannot read {path}: {error}") from error
    except ValidationError as error:
        message = "\n".join(
            f"{path}: {'.'.join(map(str, each['loc']))}: {each['msg'].removeprefix('Value error, ')}"
            for each in error.errors()
        )
        raise ClusterError(message) from error
