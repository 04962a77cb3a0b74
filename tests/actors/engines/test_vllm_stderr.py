"""If one of vLLM's processes fails to start, the error names the cause, which is on the process's stderr."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from actors.engine import LoadError
from actors.engines.vllm_runtime.stderr import NO_CAUSE, explained_failure, failure_cause

VLLM_ERROR = f"Engine core initialization failed. {NO_CAUSE}. Failed core proc(s): {{'EngineCore': 1}}"
PREFIX = "(Worker_TP0 pid=7) ERROR 11-29 16:20:29 [multiproc_executor.py:953] "
TRACEBACK = ["Traceback (most recent call last):", '  File "core.py", line 1, in run', "    raise it"]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([*TRACEBACK, "ValueError: No available memory. "], "ValueError: No available memory."),
        ([*TRACEBACK, "torch.OutOfMemoryError: CUDA out of memory."], "OutOfMemoryError: CUDA out of memory."),
        ([*TRACEBACK, "AssertionError"], "AssertionError"),
        (
            [f"{PREFIX}RuntimeError: Could not find nvcc", *TRACEBACK, "Exception: WorkerProc initialization failed"],
            "RuntimeError: Could not find nvcc",
        ),
        (["KeyError: 'first'", "ValueError: second", "WARNING: shutting down"], "ValueError: second"),
        (["INFO no Error: here", "    raise ValueError('x')"], ""),
        ([], ""),
    ],
)
def test_the_cause_is_the_last_error(lines: list[str], expected: str) -> None:
    assert failure_cause(lines) == expected


def child(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=False)


def test_a_failed_start_has_the_cause_of_its_child(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(LoadError) as caught, explained_failure("org/model"):
        child("raise ValueError('the cause')")
        raise RuntimeError(VLLM_ERROR)
    assert (caught.value.model, caught.value.detail) == ("org/model", "ValueError: the cause")
    assert "Traceback" in caught.value.__notes__[0]
    assert "ValueError: the cause" in capfd.readouterr().err  # it is still in the process's log


@pytest.mark.parametrize("error", [RuntimeError(VLLM_ERROR), RuntimeError("another"), KeyError("x")])
def test_other_errors_stay_as_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, explained_failure("org/model"):
        child("raise ValueError('the cause')" if NO_CAUSE not in str(error) else "import os; os._exit(9)")
        raise error
    assert caught.value is error


def test_children_that_started_keep_their_stderr(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    go = tmp_path / "go"
    os.mkfifo(go)
    waits = f"import sys; open({str(go)!r}).read(); sys.stderr.write('later' * 50_000)"
    with explained_failure("org/model"):
        started = subprocess.Popen([sys.executable, "-c", waits])
    go.write_text("now")
    assert started.wait(60) == 0
    written = ""
    while written.count("later") < 50_000:
        written += capfd.readouterr().err
    print("own", file=sys.stderr)
    assert capfd.readouterr().err == "own\n"


def test_no_descriptor_is_left_open() -> None:
    def descriptors() -> int:
        return len([*Path("/proc/self/fd").iterdir()])

    before = descriptors()
    for _ in range(3):
        with suppress(LoadError), explained_failure("org/model"):
            child("raise ValueError('the cause')")
            raise RuntimeError(VLLM_ERROR)
    assert descriptors() == before
