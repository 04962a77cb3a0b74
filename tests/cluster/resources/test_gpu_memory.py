"""A GPU is reused only after the driver reports its memory as free."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pynvml
import pytest

from cluster.errors import ClusterError
from cluster.resources import gpu_memory
from cluster.resources.gpu_memory import sole_use, wait_until_free
from cluster.resources.nvml import GpuMemory, query_gpu_memory
from tests.support.nvml import FakeDevice, FakeDriver

ROOT = Path(__file__).parents[3]
Install = Callable[..., FakeDriver]
NO_DRIVER = [pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_memory, "MEMORY_POLL_SECONDS", 0.02)


def test_memory_is_what_the_driver_tells(nvml: Install) -> None:
    driver = nvml(FakeDevice("GPU-aaaa", [1024], 81559), FakeDevice("GPU-bbbb", [80000], 81559))
    second, first = query_gpu_memory(["GPU-bbbb", "0"])
    assert (first, second) == (GpuMemory("0", 1024, 81559), GpuMemory("GPU-bbbb", 80000, 81559))
    assert (first.free, second.free) == (80535, 1559)
    assert (driver.opened, driver.closed) == (1, 1)


def test_a_free_device_is_not_waited_for(nvml: Install) -> None:
    driver = nvml(FakeDevice("GPU-aaaa", [100]))
    wait_until_free(["0"], 0.9, timeout=60)
    assert driver.devices[0].reads == 1


def test_a_device_is_waited_for_until_it_is_free(nvml: Install) -> None:
    driver = nvml(FakeDevice("GPU-aaaa", [900, 900, 900, 5]))
    wait_until_free(["0"], 0.9, timeout=60)
    assert driver.devices[0].reads == 4


def test_all_devices_must_be_free(nvml: Install) -> None:
    nvml(FakeDevice("GPU-aaaa", [0]), FakeDevice("GPU-bbbb", [600]))
    wait_until_free(["0", "1"], 0.4, timeout=0)
    with pytest.raises(ClusterError, match="GPU 1 has 400 of 1000 MiB free"):
        wait_until_free(["0", "1"], 0.5, timeout=0)


def test_a_device_that_stays_taken_is_named_with_what_is_missing(nvml: Install) -> None:
    nvml(*(FakeDevice(f"GPU-{index}", [60000], 80000) for index in range(4)))
    started = time.monotonic()
    with pytest.raises(ClusterError) as caught:
        wait_until_free(["3"], 0.9, timeout=0.2)
    assert 0.2 <= time.monotonic() - started < 30
    assert str(caught.value) == (
        "GPU 3 has 20000 of 80000 MiB free after 0.2 s, and 90% are needed: another process holds the memory "
        "(nvidia-smi shows which)"
    )


def test_each_instance_of_a_gpu_in_mig_mode_has_its_own_memory(nvml: Install) -> None:
    instances = [FakeDevice("MIG-aaaa", [10], 500), None, FakeDevice("MIG-bbbb", [400], 500)]
    nvml(FakeDevice("GPU-aaaa", [410], instances=instances))
    assert query_gpu_memory(["MIG-bbbb"]) == [GpuMemory("MIG-bbbb", 400, 500)]
    assert query_gpu_memory(["0"]) == [GpuMemory("MIG-aaaa", 10, 500), GpuMemory("MIG-bbbb", 400, 500)]
    wait_until_free(["MIG-aaaa"], 0.9, timeout=0)
    with pytest.raises(ClusterError, match="GPU MIG-bbbb has 100 of 500 MiB free"):
        wait_until_free(["GPU-aaaa"], 0.9, timeout=0)


@pytest.mark.parametrize("reason", NO_DRIVER)
def test_without_a_driver_there_is_nothing_to_wait_for(nvml: Install, reason: int) -> None:
    nvml(fails_with=reason)
    assert query_gpu_memory(["0"]) == []
    wait_until_free(["0"], 1.0, timeout=60)


def test_a_device_that_the_driver_does_not_know_is_nothing_to_wait_for(nvml: Install) -> None:
    nvml(FakeDevice("GPU-aaaa", [0]))
    assert query_gpu_memory(["1", "GPU-cccc", "0"]) == [GpuMemory("0", 0, 1000)]


def test_without_gpus_the_driver_is_not_asked(nvml: Install) -> None:
    driver = nvml(FakeDevice("GPU-aaaa", [900]))
    wait_until_free([], 1.0, timeout=60)
    assert driver.opened == 0


def test_memory_that_the_driver_does_not_tell_is_nothing_to_wait_for(nvml: Install) -> None:
    nvml(FakeDevice("GPU-aaaa", [None]))
    wait_until_free(["0"], 1.0, timeout=60)


def test_this_machine_answers_with_or_without_a_driver() -> None:
    assert all(memory.total > 0 for memory in query_gpu_memory(["0"]))


LOADER = """
import sys
from pathlib import Path
from cluster.resources.gpu_memory import sole_use
print("tries", flush=True)
with sole_use(sys.argv[2:]):
    with Path(sys.argv[1]).open("a") as log:
        log.write("child\\n")
    print("in", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def loader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a process that uses the given GPUs alone, writes a line into `log`, and stays until its input ends."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    started: list[subprocess.Popen[str]] = []

    def start(*gpus: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", LOADER, str(tmp_path / "log"), *gpus]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        env = os.environ | {"TMPDIR": str(tmp_path)}
        started.append(subprocess.Popen(command, cwd=ROOT, text=True, env=env, **pipes))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def test_processes_that_share_a_gpu_use_it_one_after_another(
    loader: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    with sole_use(["1", "0"]):
        child = loader("0")
        assert said(child) == "tries"
        time.sleep(0.2)  # it would enter now, if it could
        (tmp_path / "log").write_text("parent\n")
    assert said(child) == "in"
    assert (tmp_path / "log").read_text() == "parent\nchild\n"
    with sole_use(["1"]):  # another GPU
        pass


def test_a_process_that_crashed_holds_no_gpu(loader: Callable[..., subprocess.Popen[str]]) -> None:
    child = loader("0", "1")
    assert (said(child), said(child)) == ("tries", "in")
    child.kill()
    with sole_use(["0"]), sole_use(["1"]):
        pass
