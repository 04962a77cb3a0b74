"""A process whose GPU has failed exits, so that another one answers. Other errors end a request only."""

from __future__ import annotations

import os

import pytest
import torch

from actors.engines.torch_engine import run_on_device
from actors.inference.embedder import EmbedderHost, EncoderSpec

STICKY = RuntimeError("CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be reported")


class Exited(BaseException):
    """The process has exited."""


def fail() -> None:
    raise STICKY


@pytest.fixture(autouse=True)
def exits(monkeypatch: pytest.MonkeyPatch) -> None:
    def leave(code: int) -> None:
        assert code == 1
        raise Exited

    monkeypatch.setattr(os, "_exit", leave)


def use_cuda(monkeypatch: pytest.MonkeyPatch, failed: bool) -> None:
    """Let this process have a GPU, which has failed or not."""
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", fail if failed else lambda: None)


def test_an_error_that_every_later_call_would_have_ends_the_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use_cuda(monkeypatch, failed=True)
    with pytest.raises(Exited):
        run_on_device(fail)
    assert "CUDA has failed in this process; exiting: CUDA error: an illegal memory" in capsys.readouterr().err


def test_an_error_after_which_the_device_works_is_the_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    use_cuda(monkeypatch, failed=False)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        run_on_device(fail)


def test_without_a_gpu_an_error_is_the_requests() -> None:
    with pytest.raises(RuntimeError, match="illegal memory access"):
        run_on_device(fail)


def test_memory_that_is_missing_is_no_failure_of_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    use_cuda(monkeypatch, failed=True)

    def take_all() -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(MemoryError, match="CUDA out of memory"):
        run_on_device(take_all)


def test_an_embedder_whose_gpu_has_failed_exits_too(monkeypatch: pytest.MonkeyPatch) -> None:
    use_cuda(monkeypatch, failed=True)
    host = EmbedderHost(EncoderSpec("x"), on_gpu=True)
    monkeypatch.setattr(
        "actors.inference.embedder.Embedder", lambda _: type("Failing", (), {"embed": lambda *_: fail()})()
    )
    with pytest.raises(Exited):
        host.embed(["text"])


@pytest.mark.parametrize(("on_gpu", "visible"), [(True, "3"), (False, "")])
def test_an_embedder_without_a_gpu_sees_none(monkeypatch: pytest.MonkeyPatch, on_gpu: bool, visible: str) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    EmbedderHost(EncoderSpec("x"), on_gpu)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == visible
