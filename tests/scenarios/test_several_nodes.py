"""A study on three Ray nodes gives what one machine gives, byte for byte, by the example that users start from."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from cluster.connection.session import Session
from pipelines.execution.runner import run
from pipelines.store.store import Store
from pipelines.study.file.load import load
from pipelines.study.graph.build import build
from tests.support.ports import free_port
from tests.support.studies import scripted_study

ROOT = Path(__file__).parents[2]


def contents(folder: Path, study: Path) -> dict[str, list[str]]:
    """The hashes of all files of every step, by its label."""
    store, loaded = Store(str(folder)), load(study)
    steps = build(loaded.study, loaded.folder).steps.values()
    return {step.label: [shard.sha256 for shard in store.manifest(step.kind, step.key).shards] for step in steps}


def networks() -> set[str]:
    """The names of the machine's network namespaces."""
    told = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    return {line.split()[0] for line in told.splitlines() if line}


def need_networks() -> None:
    """Skip the test where network namespaces cannot be created."""
    if shutil.which("ip") is None:
        pytest.skip("no `ip` (iproute2): nodes can not have networks of their own")
    name = f"probe-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"network namespaces need root and its rights: {made.stderr.strip()}")
    subprocess.run(["ip", "netns", "delete", name], check=True)


def spread_study(tmp_path: Path) -> Path:
    """A study whose models each take the whole of one worker's CPU: they can only lie on different nodes."""
    study = tmp_path / "study.yaml"
    models = {name: {"source": name, "engine": "scripted", "cpus": 0.9} for name in ("small", "large")}
    content = scripted_study(models=models, scoring={"scorer": "small"}).model_dump(exclude_defaults=True)
    study.write_text(json.dumps(content))
    return study


def check_same(tmp_path: Path, **settings: str) -> str:
    """Run the study on several nodes and on one, compare what they made; what the first one said."""
    study, several, single = spread_study(tmp_path), tmp_path / "several", tmp_path / "single"
    environment = (
        os.environ
        | {"PORT": str(free_port(99, 100, 101, 102)), "VENV": str(Path(sys.executable).parents[1])}
        | settings
    )
    done = subprocess.run(
        [ROOT / "examples" / "several_nodes.sh", study, "--store", several],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "steps run" in done.stdout
    run(load(study), Store(str(single)), None, Console(file=io.StringIO()))
    assert contents(several, study) == contents(single, study)
    assert not [
        each for each in psutil.process_iter(["cmdline"]) if str(several) in " ".join(each.info["cmdline"] or [])
    ]
    return done.stdout


def test_three_nodes_make_the_same_files_as_one(ray_local: Session, tmp_path: Path) -> None:
    check_same(tmp_path)


@pytest.mark.faults
def test_nodes_on_networks_of_their_own_make_the_same_files_as_one(ray_local: Session, tmp_path: Path) -> None:
    need_networks()
    before = networks()
    assert "Ray at 10.0.0.1:" in check_same(tmp_path, NETWORKS="1")
    assert networks() <= before
