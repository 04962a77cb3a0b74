"""Secrets that lie around where evolgrid runs are found nowhere afterwards: results, logs, error rows, replies."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.sandbox.protocol.job import SandboxError, SandboxJob
from actors.sandbox.sandbox import Sandbox
from pipelines.store.store import Store
from tests.actors.conftest import serving

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.ray
KEY = "sk-canary-of-the-key-file"
CANARIES = {
    "AWS_SECRET_ACCESS_KEY": "canary/of+the+object+store",
    "AWS_SESSION_TOKEN": "canary-of-the-session",
    "OPENAI_API_KEY": "sk-canary-of-an-endpoint",
    "HF_TOKEN": "hf_canary_of_the_hub",
    "WANDB_API_KEY": "canary-of-a-tracker",
}
STUDY = """\
study: secrets
seeds:
  - {{name: world, world: {{count: 12}}}}
models:
  small: {{source: small, engine: scripted, cpus: 0.1}}
  served: {{source: stub, engine: http, cpus: 0.1, runtime: {{url: "{url}", key_file: {key}}}}}
evolution: {{evolvers: [small], rounds: 1}}
responses: {{teachers: [served]}}
"""
LEAK = f"""
import os
def leak(path):
    found = [f"{{name}}={{value}}" for name, value in os.environ.items()]
    for name in {list(CANARIES)}:
        found.append(str(os.environ.get(name)))
    for place in (path, "/proc/self/environ", "/proc/1/environ", f"/proc/{{os.getppid()}}/environ"):
        try:
            found.append(open(place, errors="replace").read())
        except OSError as error:
            found.append(str(error))
    print(found)
    return found
"""


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text(KEY)
    path.chmod(0o600)
    return path


@pytest.fixture
def ray_folder() -> Iterator[Path]:
    """Where a Ray of the test's own writes its logs; its sockets allow for a short path only."""
    folder = Path(tempfile.mkdtemp(prefix="s", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


def leaks(*folders: Path) -> set[tuple[str, str]]:
    """Which secret is in which file."""
    found: set[tuple[str, str]] = set()
    for path in (path for folder in folders for path in folder.rglob("*") if path.is_file()):
        data = path.read_bytes()
        found |= {(name, str(path)) for name, secret in {**CANARIES, "key": KEY}.items() if secret.encode() in data}
    return found


def test_a_run_leaves_no_secret_in_results_logs_or_error_rows(tmp_path: Path, key_file: Path, ray_folder: Path) -> None:
    results = tmp_path / "results"
    results.mkdir()
    with serving("--key", KEY, "--refuse", "w") as url:
        (tmp_path / "secrets.yaml").write_text(STUDY.format(url=url, key=key_file))
        told = subprocess.run(
            [sys.executable, "-m", "pipelines.cli", "run", str(tmp_path / "secrets.yaml"), "--store", str(results)],
            cwd=results,
            env=os.environ | CANARIES | {"PYTHONPATH": str(ROOT), "RAY_TMPDIR": str(ray_folder)},
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
    (results / "output").write_text(told.stdout + told.stderr)
    assert told.returncode == 1 and "All rows have failed" in told.stdout + told.stderr, told.stderr
    store = Store(str(results))
    assert sum(store.manifest("respond", key).account.failed for key in store.keys("respond")) > 0
    assert any(ray_folder.rglob("raylet*.out")), "Ray's logs are elsewhere"
    assert leaks(results, ray_folder) == set()


def test_what_runs_in_the_sandbox_sees_no_secret(key_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, secret in CANARIES.items():
        monkeypatch.setenv(name, secret)
    try:
        box = Sandbox(workers=1)
    except SandboxError as error:
        pytest.skip(str(error))
    with box:
        outcome = box.run(SandboxJob("x", LEAK, "leak", (str(key_file),)))
    told = repr(outcome)
    assert outcome.status == "returned", told
    assert not [secret for secret in (*CANARIES.values(), KEY) if secret in told]
