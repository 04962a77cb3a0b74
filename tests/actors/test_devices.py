"""The device and the precision follow from the GPUs that this process may use, and unusable ones are reported."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import pytest
import torch

from actors.devices import device_name, dtype_name, missing_compiler, unusable_gpus
from tests.support.nvml import FakeDevice, install_driver

H100, T4, UNKNOWN = (9, 0), (7, 5), None


@pytest.mark.parametrize(
    ("capabilities", "visible", "expected"),
    [
        ([H100], None, "bfloat16"),
        ([(8, 0)], None, "bfloat16"),
        ([T4], None, "float16"),
        ([H100, T4], None, "float16"),
        ([H100, T4], "0", "bfloat16"),
        ([H100, T4], "GPU-1", "float16"),
        ([UNKNOWN], None, "bfloat16"),
    ],
)
def test_auto_is_a_precision_that_the_gpus_have(
    monkeypatch: pytest.MonkeyPatch, capabilities: list[tuple[int, int] | None], visible: str | None, expected: str
) -> None:
    install_driver(monkeypatch, *(FakeDevice(f"GPU-{i}", [0], capability=each) for i, each in enumerate(capabilities)))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert dtype_name("auto", "cuda") == expected
    assert dtype_name("float32", "cuda") == "float32"


def test_without_gpus_auto_is_float32() -> None:
    assert dtype_name("auto", "cpu") == "float32"
    with pytest.raises(ValueError, match="unknown dtype 'int3'"):
        dtype_name("int3", "cpu")


def test_gpus_of_a_driver_that_is_too_old_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    install_driver(monkeypatch, FakeDevice("GPU-0", [0]))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    assert device_name() == "cpu"
    assert "is for CUDA 13.0, and the NVIDIA driver of this node is: 535.183.01. A newer driver" in unusable_gpus()
    monkeypatch.setattr(torch.version, "cuda", None)
    assert "the installed torch is for CPUs" in unusable_gpus()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert unusable_gpus() == "" and device_name() == "cuda"


def test_a_missing_compiler_and_a_missing_header_are_told_apart(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path))
    assert "has no C compiler" in missing_compiler()
    for name in ("gcc", "mine"):
        (tmp_path / name).touch(0o755)
    assert missing_compiler().startswith(f"its node lacks {tmp_path}/Python.h")
    (tmp_path / "Python.h").touch()
    assert missing_compiler() == ""
    (tmp_path / "gcc").unlink()
    monkeypatch.setenv("CC", "mine")
    assert missing_compiler() == ""
