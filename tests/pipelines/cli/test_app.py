"""The command line as users meet it: help, plans, and mistakes told without a traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.study.file.load import load
from tests.support.command_line import evolgrid

ROOT = Path(__file__).parents[3]
STUDIES = sorted((ROOT / "studies").rglob("*.yaml"))


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.name)
def test_every_shipped_study_loads(path: Path) -> None:
    name = load(path).study.study
    assert name == path.stem or "papers" in path.parts


def test_the_command_is_a_process_of_its_own(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pipelines.cli", "run", "missing.yaml"]
    told = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (told.returncode, told.stdout) == (2, "")
    assert "missing.yaml" in told.stderr and "Traceback" not in told.stderr


def test_help_shows_the_commands_with_an_example_each() -> None:
    told = evolgrid("--help")
    assert told.returncode == 0
    for command in ("plan", "run", "report", "show", "schema"):
        assert command in told.stdout
        assert "Example: evolgrid" in evolgrid(command, "--help").stdout


def test_the_options_are_the_ones_that_are_documented() -> None:
    found = {
        command: set(_options(evolgrid(command, "--help").stdout)) for command in ("plan", "run", "report", "show")
    }
    assert found == {
        "plan": {
            *("--store", "--seeds", "--explain", "--all", "--cpus", "--gpus", "--cluster", "--cloud", "--profile"),
            *("--address", "--probe", "--help"),
        },
        "run": {"--store", "--seeds", "--retry-failed", "--address", "--log", "--help"},
        "report": {"--store", "--seeds", "--help"},
        "show": {"--store", "--seeds", "--row", "--help"},
    }


def _options(text: str) -> list[str]:
    words = text.replace("│", " ").split()
    return [word.rstrip(".,;") for word in words if word.startswith("--")]


def test_the_schema_is_json() -> None:
    assert json.loads(evolgrid("schema").stdout)["title"] == "evolgrid study, version 1"


def test_a_plan_of_the_quickstart_lists_its_steps(tmp_path: Path) -> None:
    told = evolgrid("plan", "studies/quickstart.yaml", "--store", str(tmp_path), "--explain")
    assert told.returncode == 0, told.stderr
    assert "0 are done" in told.stdout
    assert "evolve world tiny-4m r3" in told.stdout
    assert "no train step is in the store yet" in told.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_row_that_is_not_there_is_told_without_a_traceback(tmp_path: Path) -> None:
    told = evolgrid("show", "studies/quickstart.yaml", "--row", "3f2a", "--store", str(tmp_path))
    assert (told.returncode, told.stdout) == (2, "")
    assert "'3f2a'" in told.stderr and "without --row" in told.stderr and "Traceback" not in told.stderr


def planned(folder: Path, *size: str, gpus: int = 0) -> str:
    """The plan of the quickstart, whose models each ask for some GPUs, on a cluster of some size."""
    text = (ROOT / "studies/quickstart.yaml").read_text().replace("cpus: 0.", f"gpus: {gpus}, cpus: 0.")
    (folder / "study.yaml").write_text(text)
    told = evolgrid("plan", "study.yaml", *size, folder=folder)
    assert told.returncode == 0, told.stderr
    return told.stdout


def test_models_that_fit_together_are_planned_in_one_line(tmp_path: Path) -> None:
    told = planned(tmp_path, "--cpus", "2", "--gpus", "0")
    assert "Phases on 2 CPUs and 0 GPUs: 1 phase, 3 loads (base-4m, tiny-1m, tiny-4m)" in told
    assert "models in memory" not in told


def test_a_plan_for_a_smaller_cluster_shows_which_models_take_turns(tmp_path: Path) -> None:
    told = planned(tmp_path, "--cpus", "8", "--gpus", "2", gpus=1)
    assert "Phases on 8 CPUs and 2 GPUs: 2 phases, 3 loads; every order needs at least 3" in told
    rows = [
        [cell.strip() for cell in line.split("│")[1:-1]] for line in told.splitlines() if "tiny-1m, tiny-4m" in line
    ]
    assert [row[:4] for row in rows] == [["1", "tiny-1m, tiny-4m", "tiny-1m, tiny-4m", "20"]]


def test_a_plan_for_a_machine_that_can_not_hold_a_model_says_so_and_how_to_plan_on(tmp_path: Path) -> None:
    told = planned(tmp_path, "--cpus", "8", "--gpus", "1", gpus=2)
    assert "Phases on 8 CPUs and 1 GPU: none. tiny-1m asks for" in told
    assert "--cpus and --gpus" in told and "2 other models" in told


def test_a_typo_is_told_with_file_line_field_and_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(
        (ROOT / "studies/quickstart.yaml").read_text().replace("rounds: 3", "rouns: 3")
    )
    told = evolgrid("run", "study.yaml", folder=tmp_path)
    assert told.returncode == 2
    assert told.stdout == ""
    assert "study.yaml:23: evolution.rouns:" in told.stderr and "Did you mean 'rounds'?" in told.stderr
    assert "Traceback" not in told.stderr


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("bundled:tiny-4m-chat", "bundled:tiny-4m-chta", "Did you mean 'tiny-4m-chat'?"),
        ("bundled:tiny-4m-chat", "./nowhere", "nowhere"),
        ("cpus: 0.2}", "cpus: 4000}", "4000"),
        ("cpus: 0.2}", "engine: vlm}", "Did you mean 'vllm'?"),
        ("teachers: [tiny-1m, tiny-4m]", "teachers: [tiny-1m, tiny-5m]", "Did you mean 'tiny-4m'?"),
        ("world: {count: 240, levels: [0]}", "file: seeds.jsonl", "seeds.jsonl"),
        ("epochs: ", "epochs: three #", "a whole number"),
    ],
)
def test_what_would_fail_later_is_refused_before_anything_starts(tmp_path: Path, old: str, new: str, told: str) -> None:
    text = (ROOT / "studies/quickstart.yaml").read_text()
    assert old in text
    (tmp_path / "study.yaml").write_text(text.replace(old, new))
    done = evolgrid("run", "study.yaml", folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "evolgrid-store").exists()


def test_a_bad_seed_row_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "seeds.jsonl").write_text('{"instruction": "Name a bird."}\n{"instruction": ""}\n')
    text = (ROOT / "studies/quickstart.yaml").read_text()
    (tmp_path / "study.yaml").write_text(text.replace("world: {count: 240, levels: [0]}", "file: seeds.jsonl"))
    done = evolgrid("run", "study.yaml", folder=tmp_path)
    assert done.returncode == 2
    assert "seeds.jsonl:2" in done.stderr.replace("\n", "") and "Traceback" not in done.stderr
