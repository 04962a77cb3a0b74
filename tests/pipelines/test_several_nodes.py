"""A study on three Ray nodes gives what one machine gives, byte for byte, by the example that users start from."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
from rich.console import Console

from cluster.session import Session
from pipelines.runner import run
from pipelines.store.store import Store
from pipelines.study.grid import build
from pipelines.study.load import load
from tests.cluster.nodes import free_port
from tests.pipelines.studies import scripted_study

ROOT = Path(__file__).parents[2]


def contents(folder: Path, study: Path) -> dict[str, list[str]]:
    """The hashes of all files of every step, by its label."""
    store, loaded = Store(str(folder)), load(study)
    steps = build(loaded.study, loaded.folder).steps.values()
    return {step.label: [shard.sha256 for shard in store.manifest(step.kind, step.key).shards] for step in steps}


def test_three_nodes_make_the_same_files_as_one(ray_local: Session, tmp_path: Path) -> None:
    study = tmp_path / "study.yaml"
    # each model takes the whole of one worker's CPU: they can only lie on different nodes
    models = {name: {"source": name, "engine": "scripted", "cpus": 0.9} for name in ("small", "large")}
    content = scripted_study(models=models, scoring={"scorer": "small"}).model_dump(exclude_defaults=True)
    study.write_text(json.dumps(content))
    several, single = tmp_path / "several", tmp_path / "single"
    environment = os.environ | {"PORT": str(free_port()), "VENV": str(Path(sys.executable).parents[1])}
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
