"""Prices of machines, from a file that users edit: dollars per hour for each instance type and region."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from cluster.errors import ClusterError
from cluster.launch.description import Cloud, Description, Machine, Market

DEFAULT = Path(__file__).with_name("prices.yaml")


class Price(BaseModel):
    """The price of one instance per hour."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    on_demand: float
    spot: float


class Prices(BaseModel):
    """A price file: prices by cloud, region and instance type, and their date."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    date: str
    currency: str
    prices: dict[Cloud, dict[str, dict[str, Price]]]

    def hourly(self, cluster: Description, cloud: Cloud, machine: Machine, market: Market) -> float | None:
        """Return the hourly price of a machine of a described cluster, or None if the file does not contain it."""
        region = cluster.aws.region if cloud == "aws" else cluster.gcp.region
        price = self.prices.get(cloud, {}).get(region, {}).get(machine.instances[cloud])
        return None if price is None else price.spot if market == "spot" else price.on_demand


def load(path: Path = DEFAULT) -> Prices:
    """Read a price file.

    Raises:
        ClusterError: The file cannot be read or is invalid.
    """
    from ruamel.yaml import YAML, YAMLError

    try:
        return Prices.model_validate(YAML(typ="safe").load(path.read_text()))
    except (OSError, YAMLError, ValidationError) as error:
        raise ClusterError(f"{path} is not a valid price file: {error}") from error
