"""What machines cost, by a file that users edit: dollars an hour of an instance type in a region."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from cluster.errors import ClusterError
from cluster.launch.description import Cloud, Description, Machine, Market

DEFAULT = Path(__file__).with_name("prices.yaml")


class Price(BaseModel):
    """Of one instance for one hour."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    on_demand: float
    spot: float


class Prices(BaseModel):
    """A price file: by cloud, region and instance type, with the day on which they held."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    date: str
    currency: str
    prices: dict[Cloud, dict[str, dict[str, Price]]]

    def hourly(self, cluster: Description, cloud: Cloud, machine: Machine, market: Market) -> float | None:
        """The price of a machine of a described cluster; None if the file does not have it."""
        region = cluster.aws.region if cloud == "aws" else cluster.gcp.region
        price = self.prices.get(cloud, {}).get(region, {}).get(machine.instances[cloud])
        return None if price is None else price.spot if market == "spot" else price.on_demand


def load(path: Path = DEFAULT) -> Prices:
    """Read a price file. ClusterError if it can not be read or says something else."""
    from ruamel.yaml import YAML, YAMLError

    try:
        return Prices.model_validate(YAML(typ="safe").load(path.read_text()))
    except (OSError, YAMLError, ValidationError) as error:
        raise ClusterError(f"{path} is no price file: {error}") from error
