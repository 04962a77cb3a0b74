"""vLLM's processes run with the variables that the device needs. Nothing here needs vLLM."""

from __future__ import annotations

import os

import pytest

from actors.engines.vllm_runtime.environment import set_environment

SAMPLER, THREADS = "VLLM_USE_FLASHINFER_SAMPLER", "VLLM_CPU_OMP_THREADS_BIND"
PROCESSES = "VLLM_ENABLE_V1_MULTIPROCESSING"


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The variables of this process, without any of vLLM."""
    found = {name: value for name, value in os.environ.items() if not name.startswith("VLLM_")}
    monkeypatch.setattr(os, "environ", found)
    return found


def test_on_cuda_no_sampler_has_to_be_compiled(variables: dict[str, str]) -> None:
    set_environment("cuda", batch_invariant=False)
    assert variables[SAMPLER] == "0"
    assert THREADS not in variables


def test_on_a_cpu_engines_share_the_cores(variables: dict[str, str]) -> None:
    set_environment("cpu", batch_invariant=False)
    assert variables[THREADS] == "nobind"
    assert SAMPLER not in variables


def test_on_a_cpu_no_core_is_busy_with_waiting_for_the_model(variables: dict[str, str]) -> None:
    set_environment("cpu", batch_invariant=False)
    assert variables[PROCESSES] == "0"
    variables.pop(PROCESSES)
    set_environment("cuda", batch_invariant=False)
    assert PROCESSES not in variables


def test_what_the_user_has_set_stays(variables: dict[str, str]) -> None:
    variables[SAMPLER] = "1"
    set_environment("cuda", batch_invariant=False)
    assert variables[SAMPLER] == "1"


@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_the_watchdog_alone_decides_how_long_a_load_may_take(variables: dict[str, str], device: str) -> None:
    set_environment(device, batch_invariant=False)
    assert int(variables["VLLM_ENGINE_READY_TIMEOUT_S"]) >= 24 * 3600


def test_batch_invariance_is_what_the_study_says(variables: dict[str, str]) -> None:
    for device, option, expected in [("cuda", True, "1"), ("cuda", False, "0"), ("cpu", True, "0")]:
        variables["VLLM_BATCH_INVARIANT"] = "1"  # of the user, or of the model that this process had before
        set_environment(device, option)
        assert variables["VLLM_BATCH_INVARIANT"] == expected
