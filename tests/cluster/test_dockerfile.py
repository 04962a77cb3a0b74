"""The container image: its Dockerfile is linted and refers to what exists; on demand, its steps run without Docker."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "Dockerfile"
HADOLINT = Path(sys.executable).with_name("hadolint")
PREFIX = "/opt/evolgrid"  # of the environment in the image


@dataclass
class Stage:
    """A stage of a Dockerfile: what it starts from, and its instructions with their arguments."""

    source: str
    steps: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def arguments(self, instruction: str) -> list[str]:
        return [argument for name, argument in self.steps if name == instruction]


def stages() -> dict[str, Stage]:
    """The stages by name."""
    found = dict[str, Stage]()
    text = re.sub(r"^\s*#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE)
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        instruction, _, argument = line.strip().partition(" ")
        if instruction == "FROM":
            source, name = argument.split(" AS ")
            found[name] = Stage(source)
        elif instruction and found:
            found[[*found][-1]].steps.append((instruction, argument.strip()))
    return found


def chain(name: str) -> list[Stage]:
    """A stage after those that it starts from."""
    stage = stages()[name]
    return [*(chain(stage.source) if stage.source in stages() else []), stage]


def test_the_dockerfile_is_clean() -> None:
    if not HADOLINT.exists():
        pytest.skip("hadolint is not installed")
    done = subprocess.run([str(HADOLINT), str(DOCKERFILE)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_base_images_are_pinned_and_no_image_runs_as_root() -> None:
    (base,) = re.findall(r"^ARG PYTHON_IMAGE=(\S+)$", DOCKERFILE.read_text(), re.MULTILINE)
    assert re.fullmatch(r"python:3\.1\d\.\d+-slim-\w+", base)
    for target in ("cpu", "cuda"):
        users = [user for stage in chain(target) for user in stage.arguments("USER")]
        assert users and users[-1] not in ("root", "0")


def test_everything_that_is_copied_exists_and_is_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    for stage in stages().values():
        for copy in stage.arguments("COPY"):
            words = [word for word in copy.split() if not word.startswith("--")]
            if "--from=" not in copy:
                assert all((ROOT / name).exists() and name not in ignored for name in words[:-1]), copy
    assert {".venv", ".git", "evolgrid-store"} <= {*ignored}


def test_steps_are_valid_shell() -> None:
    for stage in stages().values():
        for run in stage.arguments("RUN"):
            done = subprocess.run(["bash", "-n", "-c", command(run)], capture_output=True, text=True)
            assert done.returncode == 0, done.stderr


def test_the_targets_are_those_of_the_guide() -> None:
    targets = set(re.findall(r"--target (\w+)", (ROOT / "docs" / "cluster.md").read_text()))
    assert targets and targets <= {*stages()}


@pytest.mark.parametrize("target", ["cpu", "cuda"])
def test_the_listed_libraries_are_those_of_the_package_and_of_its_extras(target: str) -> None:
    (extras,) = [value.partition("=")[2] for value in stages()[f"build-{target}"].arguments("ARG") if "EXTRAS" in value]
    command = [sys.executable, "scripts/requirements.py", extras]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    assert any(line.startswith("ray[") for line in listed) and any(line.startswith("s3fs") for line in listed)
    assert any(line.startswith("lm-eval") for line in listed)
    assert any(line.startswith("vllm") for line in listed) == (target == "cuda")


def command(run: str) -> str:
    """The shell command of a RUN step."""
    return re.sub(r"--mount=\S+\s+", "", run)


@pytest.mark.image
@pytest.mark.timeout(3600)
def test_the_steps_of_the_cpu_image_make_an_environment_in_which_evolgrid_plans(tmp_path: Path) -> None:
    """In a fresh prefix, without Docker. Variables of the environment (TORCH_INDEX) replace arguments of the build."""
    prefix, source = str(tmp_path / "evolgrid"), tmp_path / "src"
    source.mkdir()
    variables = {"PATH": f"{prefix}/bin:{Path(sys.executable).resolve().parent}:{os.environ['PATH']}"}
    for stage in chain("build-cpu"):
        for instruction, argument in stage.steps:
            if instruction == "ARG":
                name, _, value = argument.partition("=")
                variables[name] = os.environ.get(name, value)
            elif instruction == "COPY":
                *names, _ = argument.split()
                copied(names, source)
            elif instruction == "RUN":
                text = command(argument).replace(PREFIX, prefix)
                environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | variables
                subprocess.run(["bash", "-euo", "pipefail", "-c", text], cwd=source, check=True, env=environment)
    planned = subprocess.run(
        [f"{prefix}/bin/evolgrid", "plan", str(ROOT / "studies/quickstart.yaml")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
    )
    assert planned.returncode == 0 and "will run" in planned.stdout, planned.stderr


def copied(names: list[str], target: Path) -> None:
    """Copy files, or what is not ignored of the whole repository."""
    ignored = shutil.ignore_patterns(
        *(line.removeprefix("**/") for line in (ROOT / ".dockerignore").read_text().split())
    )
    for name in names:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target, ignore=ignored, dirs_exist_ok=True)
        else:
            shutil.copy(ROOT / name, target)
