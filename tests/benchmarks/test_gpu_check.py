"""The check of a GPU machine: what becomes of its stages, whatever they do, and those that run without a GPU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchmarks.gpu_check import __main__ as command
from benchmarks.gpu_check import runner
from benchmarks.gpu_check.stages import STAGES, Stage

ROOT = Path(__file__).parents[2]
HOURS = 3600  # seconds
SETTING = {"device": "cpu", "gpus": [], "cuda": None, "cpus": 2}


def stage(name: str, packages: tuple[str, ...] = (), **changes: Any) -> Stage:
    return Stage(f"tests.support.gpu_stages:{name}", name, packages, **{"limit": HOURS, **changes})


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs these stages; returns the exit code, and the results by the names of stages."""
    monkeypatch.setattr(command, "describe_machine", lambda: SETTING)

    def run(*names: str, **stages: Stage) -> tuple[int, dict[str, Any]]:
        for module in (command, runner):
            monkeypatch.setattr(module, "STAGES", stages)
        file = tmp_path / "results" / "check.json"
        code = command.main([*names, "--json", str(file)])
        return code, {each["name"]: each for each in json.loads(file.read_text())["stages"]}

    return run


def test_a_stage_that_fails_in_any_way_stops_no_other(check, capsys) -> None:
    endings = ("passes", "fails", "raises", "crashes")
    code, found = check(**{name: stage(name) for name in endings}, last=stage("passes"))
    assert code == 1
    assert {name: result["status"] for name, result in found.items()} == {
        "passes": "PASS",
        "fails": "FAIL",
        "raises": "FAIL",
        "crashes": "FAIL",
        "last": "PASS",
    }
    assert [one["status"] for one in found["fails"]["checks"]] == ["FAIL", "PASS"]
    assert found["raises"]["reason"].startswith("exit code 1: ValueError: no such kernel")
    assert [one["name"] for one in found["raises"]["checks"]] == ["begun"], "what it had found is kept"
    assert found["crashes"]["reason"].startswith("exit code -9: out of luck")
    told = capsys.readouterr().out
    assert "PASS  two is even: number 2" in told and "SKIP  quick: judged on GPUs only: seconds 1.5" in told
    assert "FAIL: 2 PASS, 3 FAIL (fails, raises, crashes)" in told


def test_a_stage_that_hangs_is_ended(check) -> None:
    code, found = check(hangs=stage("hangs", limit=1), passes=stage("passes"))
    assert (code, found["hangs"]["status"], found["passes"]["status"]) == (1, "FAIL", "PASS")
    assert "no result after 10 s" in found["hangs"]["reason"]
    assert not [child for child in psutil.Process().children() if "benchmarks.gpu_check" in child.cmdline()]


def test_what_has_not_finished_in_time_is_skipped(check) -> None:
    code, found = check("--minutes", "0.05", hangs=stage("hangs"), fails=stage("fails"))
    assert (code, found["hangs"]["status"], found["fails"]["status"]) == (0, "SKIP", "SKIP")
    assert (found["hangs"]["reason"], found["fails"]["reason"]) == ("no time left to finish it", "no time left")


def test_what_is_missing_is_named_and_not_a_failure(check) -> None:
    code, found = check(
        without=stage("fails", ("json", "no_such_package")), gpu=stage("fails", needs_gpu=True), passes=stage("passes")
    )
    assert (code, found["without"]["status"], found["gpu"]["status"]) == (0, "SKIP", "SKIP")
    assert found["without"]["reason"] == "not installed: no_such_package"
    assert found["gpu"]["reason"] == "needs a GPU"


def test_stages_are_chosen_by_name(check, capsys) -> None:
    _, found = check("b", a=stage("fails"), b=stage("passes"))
    assert list(found) == ["b"]
    with pytest.raises(SystemExit):
        check("c", a=stage("passes"))
    assert "unknown stage 'c'; there are a" in capsys.readouterr().err


def test_every_stage_has_its_function_and_a_place_in_the_docs() -> None:
    docs = (ROOT / "docs" / "gpu.md").read_text()
    for name, each in STAGES.items():
        module, _, function = each.run.partition(":")
        assert f"def {function}(record: Recorder) -> None:" in (ROOT / f"{module.replace('.', '/')}.py").read_text()
        assert f"| `{name}` |" in docs


@pytest.mark.torch
def test_cheap_stages_run_without_a_gpu(tmp_path: Path) -> None:
    arguments = ["devices", "memory", "half-gpus", "--json", str(tmp_path / "check.json")]
    module = [sys.executable, "-m", "benchmarks.gpu_check"]
    done = subprocess.run([*module, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "small models, and what needs a GPU is skipped" in done.stdout
    results = json.loads((tmp_path / "check.json").read_text())
    assert results["device"] == "cpu" and "torch" in results["packages"]
    assert [each["status"] for each in results["stages"]] == ["PASS", "PASS", "SKIP"]


@pytest.mark.gpu
@pytest.mark.timeout(900)
def test_all_stages_pass_on_a_gpu(tmp_path: Path) -> None:
    file = tmp_path / "check.json"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu_check", "--json", str(file)], cwd=ROOT, capture_output=True, text=True
    )
    assert json.loads(file.read_text())["device"] == "cuda"
    assert done.returncode == 0, done.stdout
