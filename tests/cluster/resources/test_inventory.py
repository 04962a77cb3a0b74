"""The inventory has the resources that may be used, not those that the hardware has."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pynvml
import pytest

from cluster.connection.session import Session
from cluster.resources import inventory
from tests.support.nvml import FakeDevice, FakeDriver

TWO_GPUS = (FakeDevice("GPU-aaaa", [0]), FakeDevice("GPU-bbbb", [0]))
Install = Callable[..., FakeDriver]


@pytest.fixture
def container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(inventory, "CGROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(16)), raising=False)
    return tmp_path


def test_affinity_bounds_the_cpus(container: Path) -> None:
    assert inventory.machine().cpus == 16


@pytest.mark.parametrize(("quota", "cpus"), [("200000 100000", 2), ("150000 100000", 2), ("50000 100000", 1)])
def test_container_bounds_the_cpus(container: Path, quota: str, cpus: int) -> None:
    (container / "cpu.max").write_text(quota)
    assert inventory.machine().cpus == cpus


def test_container_bounds_the_memory(container: Path) -> None:
    physical = inventory.machine().memory_bytes
    (container / "memory.max").write_text("max\n")
    assert inventory.machine().memory_bytes == physical
    (container / "memory.max").write_text(f"{2**30}\n")
    assert inventory.machine().memory_bytes == 2**30


def test_gpus_are_those_of_the_driver(nvml: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    nvml(*TWO_GPUS)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert inventory.machine().gpus == 2


@pytest.mark.parametrize(("visible", "gpus"), [("", 0), ("-1", 0), ("1", 1), ("0,1", 2), ("0,1,2", 2)])
def test_hidden_gpus_do_not_count(nvml: Install, monkeypatch: pytest.MonkeyPatch, visible: str, gpus: int) -> None:
    nvml(*TWO_GPUS)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert inventory.machine().gpus == gpus


def test_a_gpu_in_mig_mode_is_one_gpu_as_for_ray(nvml: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    nvml(FakeDevice("GPU-aaaa", [0], instances=[FakeDevice("MIG-aaaa", [0]), FakeDevice("MIG-bbbb", [0])]))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert inventory.machine().gpus == 1


@pytest.mark.parametrize("reason", [0, pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED])
def test_without_a_card_or_a_driver_there_is_no_gpu(
    nvml: Install, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    nvml(fails_with=reason)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert inventory.machine().gpus == 0


def test_cluster_is_as_large_as_its_nodes_say(ray_local: Session) -> None:
    found = inventory.inventory()
    assert (found.cpus, len(found.nodes)) == (4, 1)
    assert 0 < found.memory_bytes < inventory.machine().memory_bytes


LAUNCHED = """
cluster_name: test
max_workers: {workers}
available_node_types:
  head:
    resources: {{CPU: 4, memory: 8000000000}}
    max_workers: 0
  gpu:
    resources: {{CPU: 64, GPU: {gpus}}}
    max_workers: 3
  any:
    resources: {{CPU: 16}}
head_node_type: head
"""


@pytest.fixture
def launched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "bootstrap.yaml"
    monkeypatch.setattr(inventory, "LAUNCHER_CONFIG_FILE", path)
    return path


def test_a_cluster_can_become_what_its_launcher_may_start(ray_local: Session, launched: Path) -> None:
    launched.write_text(LAUNCHED.format(workers=5, gpus=8))
    found = inventory.max_inventory()
    assert found.gpus == 3 * 8
    assert [node.name for node in found.nodes if node.gpus] == ["gpu"] * 3
    assert max(node.cpus for node in found.nodes) == 64
    assert next(node.memory_bytes for node in found.nodes if node.name == "head") == 8_000_000_000


def test_no_type_has_more_nodes_than_the_whole_cluster(ray_local: Session, launched: Path) -> None:
    launched.write_text(LAUNCHED.format(workers=1, gpus=8))
    assert inventory.max_inventory().gpus <= 2 * 8


def test_a_cluster_that_was_not_launched_is_what_it_is(ray_local: Session, launched: Path) -> None:
    assert inventory.max_inventory() == inventory.inventory()


def test_a_launcher_that_knows_less_than_there_is_does_not_count(ray_local: Session, launched: Path) -> None:
    launched.write_text("max_workers: 0\navailable_node_types: {head: {resources: {CPU: 2}, max_workers: 0}}\n")
    assert inventory.max_inventory() == inventory.inventory()
