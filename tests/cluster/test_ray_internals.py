"""Each private name of Ray exists in the installed version, and does what evolgrid uses it for."""

from __future__ import annotations

import json
from importlib import import_module

import grpc
import pytest
import ray

from cluster import ray_internals
from cluster.connection.session import Session
from cluster.errors import ClusterError
from cluster.library_internals import find_internal

CLOSED_PORT = "127.0.0.1:1"


def test_nodes_that_are_drained_are_listed(ray_local: Session) -> None:
    assert ray_internals.draining_nodes() == frozenset()


def test_a_head_says_that_it_is_alive_and_which_versions_it_runs(ray_local: Session) -> None:
    token = (("authorization", f"Bearer {ray_internals.auth_token()}"),)
    with grpc.insecure_channel(ray_local.address, options=(("grpc.enable_http_proxy", 0),)) as channel:
        ray_internals.check_alive(channel, 10, token)
        metadata = json.loads(ray_internals.cluster_metadata(channel, 10, token))
    assert metadata["ray_version"] == ray.__version__
    ray_internals.check_version_info(metadata, "this test")
    with pytest.raises(RuntimeError, match="this test"):
        ray_internals.check_version_info(metadata | {"ray_version": "2.0.0"}, "this test")


@pytest.mark.parametrize("call", [ray_internals.check_alive, ray_internals.cluster_metadata])
def test_a_head_that_is_not_there_is_an_error_of_grpc(call) -> None:
    with grpc.insecure_channel(CLOSED_PORT) as channel, pytest.raises(grpc.RpcError):
        call(channel, 5, ())


def test_a_node_that_is_gone_is_drained(ray_local: Session) -> None:
    assert ray_internals.drain_node(ray_local.address, "f" * 56, "a test", 2**42) == (True, "")
    assert import_module("ray.core.generated.autoscaler_pb2").DRAIN_NODE_REASON_PREEMPTION == ray_internals.PREEMPTION


def test_the_token_is_read_again_when_the_mode_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    for token in ("a" * 64, "b" * 64):
        monkeypatch.setenv("RAY_AUTH_TOKEN", token)
        ray_internals.reload_auth_mode()
        assert ray_internals.auth_token() == token
    monkeypatch.undo()
    ray_internals.reload_auth_mode()


def test_an_address_is_host_and_port() -> None:
    assert ray_internals.canonical_address("203.0.113.7:6379") == "203.0.113.7:6379"


def test_a_launch_configuration_without_a_provider_is_refused() -> None:
    with pytest.raises((ValueError, AssertionError, KeyError)):
        ray_internals.validate_launch_config({"cluster_name": "a"})


def test_statistics_of_a_stream_have_the_type_that_we_name() -> None:
    summary = import_module("ray.data._internal.stats").DatasetStatsSummary
    assert {"operators_stats", "parents", "extra_metrics"} <= summary.__dataclass_fields__.keys()


@pytest.mark.parametrize(
    ("module", "name"),
    [("ray._private.no_such_module", "f"), ("ray._private.utils", "no_such_function"), ("ray._raylet", "Config.none")],
)
def test_a_name_that_a_library_no_longer_has_is_told_with_its_version(module: str, name: str) -> None:
    with pytest.raises(ClusterError) as caught:
        find_internal(module, name)
    assert f"ray {ray.__version__} has no {module}.{name}" in str(caught.value)
