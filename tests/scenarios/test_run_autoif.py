"""AutoIF on Ray: sandboxes beside engines, in a run that finishes and in one that cannot finish."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.sandbox.protocol.job import SandboxError
from actors.sandbox.sandbox import Sandbox
from cluster.errors import ClusterError
from pipelines.store.store import Store
from tests.scenarios.test_run import contents, go

pytestmark = pytest.mark.usefixtures("ray_local")
STUDY = """\
study: formats
seeds:
  - {{name: world, world: {{count: 30}}}}
models:
  small: {{source: small, engine: scripted, cpus: {cpus}}}
  nli:
    source: nli
    engine: scripted
    cpus: {cpus}
    options: {{labels: "entailment,neutral,contradiction", logits: "2,1,0"}}
evolution:
  method: autoif
  evolvers: [small]
  autoif: {{instructions: formats.txt, nli: nli, runs: 2, generations: 4, queries: 2, responses: 3}}
responses: {{teachers: [small], decodings: [{{name: drawn, temperature: 0.7}}], answer_seeds: false}}
"""


def write(folder: Path, cpus: float = 0.1) -> Path:
    (folder / "formats.txt").write_text("Write at least 8 words.\n\nWrite at least 15 words.\n")
    path = folder / "study.yaml"
    path.write_text(STUDY.format(cpus=cpus))
    return path


@pytest.fixture(scope="module", autouse=True)
def sandboxed() -> None:
    try:
        Sandbox().close()
    except SandboxError as error:
        pytest.skip(str(error))


def test_a_study_runs_to_its_checked_answers_and_gives_the_same_rows_each_time(tmp_path: Path) -> None:
    one, other = Store(str(tmp_path / "one")), Store(str(tmp_path / "other"))
    summary, told = go(write(tmp_path), one)
    assert "done check world small / small drawn" in told and summary.executed == 6
    go(tmp_path / "study.yaml", other)
    assert contents(one) == contents(other)
    (key,) = one.keys("check")
    account = one.manifest("check", key).account
    assert account.rows_out > 0 and account.reasons["fails_check"] > 0
    assert go(tmp_path / "study.yaml", one)[0].executed == 0


def test_models_that_work_together_and_do_not_fit_are_refused_before_anything_is_asked(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="small and nli run in the same step and need 6 CPUs"):
        go(write(tmp_path, cpus=3), Store(str(tmp_path / "store")))
