"""The cluster file passes Ray's validation, which rejects mistakes, and is safe to publish and to start."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

FILE = Path(__file__).parents[3] / "ray_config.yaml"
SECRETS = re.compile(r"AKIA|ASIA|aws_secret|BEGIN [A-Z ]*PRIVATE KEY|hf_[A-Za-z0-9]{20}|\b[0-9a-f]{64}\b|\b\d{12}\b")


@pytest.fixture
def config() -> dict[str, Any]:
    return yaml.safe_load(FILE.read_text())


@pytest.fixture
def ready(config: dict[str, Any]) -> dict[str, Any]:
    return prepare_config(copy.deepcopy(config))


def validate(config: dict[str, Any]) -> None:
    validate_config(prepare_config(config))


def test_cluster_file_passes_rays_validation(config: dict[str, Any]) -> None:
    validate(config)


def test_misspelt_key_is_refused(config: dict[str, Any]) -> None:
    config["idle_timeout_minuts"] = config.pop("idle_timeout_minutes")
    with pytest.raises(jsonschema.ValidationError, match="idle_timeout_minuts"):
        validate(config)


def test_misspelt_key_of_a_node_type_is_refused(config: dict[str, Any]) -> None:
    config["available_node_types"]["l4_spot"]["max_worker"] = 3
    with pytest.raises(jsonschema.ValidationError, match="max_worker"):
        validate(config)


def test_unknown_head_type_is_refused(config: dict[str, Any]) -> None:
    config["head_node_type"] = "boss"
    with pytest.raises(ValueError, match="head_node_type"):
        validate(config)


def test_more_minimum_workers_than_workers_is_refused(config: dict[str, Any]) -> None:
    config["available_node_types"]["l4_spot"]["min_workers"] = config["max_workers"] + 1
    with pytest.raises(ValueError, match="max_workers"):
        validate(config)


def test_every_type_scales_from_zero_within_its_bounds(ready: dict[str, Any]) -> None:
    for name, kind in ready["available_node_types"].items():
        assert kind["min_workers"] == 0 <= kind["max_workers"] <= ready["max_workers"], name


def test_head_takes_no_work_and_is_on_demand(config: dict[str, Any]) -> None:
    head = config["available_node_types"]["head"]
    assert head["resources"] == {"CPU": 0}
    assert "InstanceMarketOptions" not in head["node_config"]
    assert "--num-cpus=0 --num-gpus=0" in " ".join(config["head_start_ray_commands"])


def test_spot_comes_before_its_on_demand_twin(config: dict[str, Any]) -> None:
    kinds = config["available_node_types"]
    pairs = [(kinds[name], kinds[name.replace("spot", "on_demand")]) for name in kinds if name.endswith("_spot")]
    assert len(pairs) == 3
    for spot, twin in pairs:
        assert spot["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
        assert "InstanceMarketOptions" not in twin["node_config"]
        assert spot["priority"] > twin.get("priority", 0)
        assert spot["resources"] == twin["resources"]
        assert spot["node_config"]["InstanceType"] == twin["node_config"]["InstanceType"]


@pytest.mark.parametrize("role", ["head", "worker"])
def test_ray_starts_with_authentication_and_a_closed_dashboard(ready: dict[str, Any], role: str) -> None:
    starts = [command for command in ready[f"{role}_start_ray_commands"] if "ray start" in command]
    assert len(starts) == 1
    assert "RAY_AUTH_MODE=token" in starts[0]
    assert "0.0.0.0" not in starts[0]


def test_token_is_made_for_one_user_before_ray_starts(ready: dict[str, Any]) -> None:
    made = [command for command in ready["head_setup_commands"] if "get-auth-token --generate" in command]
    assert len(made) == 1 and "umask 077" in made[0]
    assert ready["cluster_synced_files"] == ["~/.ray/auth_token"]


def test_file_holds_no_secret() -> None:
    assert SECRETS.search(FILE.read_text()) is None
    assert SECRETS.search("token: " + "0123456789abcdef" * 4)
