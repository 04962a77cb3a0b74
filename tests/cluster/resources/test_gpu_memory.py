"""A GPU is handed on only when the driver says that its memory is free."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.errors import ClusterError
from cluster.resources import gpu_memory as devices
from cluster.resources.gpu_memory import GpuMemory, query_gpu_memory, wait_until_free

Script = Callable[[str], Path]


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    """Puts a script in the place of the driver's command; its folder keeps a log of the arguments."""
    monkeypatch.setattr(devices, "MEMORY_POLL_SECONDS", 0.02)

    def install(script: str) -> Path:
        command = tmp_path / "nvidia-smi"
        command.write_text(f'#!/bin/sh\necho "$@" >> "{tmp_path}/calls"\n{script}\n')
        command.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
        return tmp_path / "calls"

    return install


def test_memory_is_what_the_driver_tells(nvidia_smi: Script) -> None:
    calls = nvidia_smi("echo '1024, 81559'; echo '80000, 81559'")
    first, second = query_gpu_memory(["0", "GPU-aaaa"])
    assert (first, second) == (GpuMemory("0", 1024, 81559), GpuMemory("GPU-aaaa", 80000, 81559))
    assert (first.free, second.free) == (80535, 1559)
    assert "--id=0,GPU-aaaa" in calls.read_text()


def test_a_free_device_is_not_waited_for(nvidia_smi: Script) -> None:
    calls = nvidia_smi("echo '100, 1000'")
    wait_until_free(["0"], 0.9, timeout=60)
    assert len(calls.read_text().splitlines()) == 1


def test_a_device_is_waited_for_until_it_is_free(nvidia_smi: Script, tmp_path: Path) -> None:
    calls = nvidia_smi(f"if [ $(wc -l < '{tmp_path}/calls') -lt 4 ]; then echo '900, 1000'; else echo '5, 1000'; fi")
    wait_until_free(["0"], 0.9, timeout=60)
    assert len(calls.read_text().splitlines()) == 4


def test_all_devices_must_be_free(nvidia_smi: Script) -> None:
    nvidia_smi("echo '0, 1000'; echo '600, 1000'")
    wait_until_free(["0", "1"], 0.4, timeout=0)
    with pytest.raises(ClusterError, match="GPU 1 has 400 of 1000 MiB free"):
        wait_until_free(["0", "1"], 0.5, timeout=0)


def test_a_device_that_stays_taken_is_named_with_what_is_missing(nvidia_smi: Script) -> None:
    nvidia_smi("echo '60000, 80000'")
    started = time.monotonic()
    with pytest.raises(ClusterError) as caught:
        wait_until_free(["3"], 0.9, timeout=0.2)
    assert 0.2 <= time.monotonic() - started < 5
    assert str(caught.value) == (
        "GPU 3 has 20000 of 80000 MiB free after 0.2 s, and 90% are needed: another process holds the memory "
        "(nvidia-smi shows which)"
    )


@pytest.mark.parametrize("script", ["echo 'No devices were found'; exit 6", "exit 9"])
def test_a_driver_that_can_not_be_asked_is_nothing_to_wait_for(nvidia_smi: Script, script: str) -> None:
    nvidia_smi(script)
    assert query_gpu_memory(["0"]) == []
    wait_until_free(["0"], 1.0, timeout=60)


def test_without_a_driver_there_is_nothing_to_wait_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    wait_until_free(["0"], 1.0, timeout=60)


def test_without_gpus_the_driver_is_not_asked(nvidia_smi: Script) -> None:
    calls = nvidia_smi("echo '900, 1000'")
    wait_until_free([], 1.0, timeout=60)
    assert not calls.exists()


@pytest.mark.parametrize("answer", ["[N/A], [N/A]", "[Not Supported], 81559"])
def test_memory_that_the_driver_does_not_tell_is_nothing_to_wait_for(nvidia_smi: Script, answer: str) -> None:
    nvidia_smi(f"echo '{answer}'")
    wait_until_free(["0"], 1.0, timeout=60)
