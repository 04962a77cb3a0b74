"""What fails for reasons of machines is tried again within a budget, and everybody can see how often."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from ray.exceptions import RayActorError, RayTaskError
from rich.console import Console
from rich.text import Text
from typer.testing import CliRunner

from actors.engine import EngineLost, LoadError
from actors.sandbox.protocol.job import SandboxError
from actors.serving.spec import PoolStats, ReplicaStats
from cluster.resources.inventory import machine
from pipelines.cli.app import app
from pipelines.execution.runner import _run_with_retries, run
from pipelines.execution.runtime import retry as again
from pipelines.execution.runtime.commit import commit_rows
from pipelines.execution.runtime.context import RunContext
from pipelines.execution.runtime.progress import ProgressDisplay
from pipelines.execution.runtime.retry import MAX_STEP_RETRIES, RetryBudget, with_retries
from pipelines.execution.stream import run as flow
from pipelines.planning.plan import Plan, make_plan
from pipelines.store.store import Store
from pipelines.store.studies.retry_log import Retry, load_retries, save_retries
from pipelines.study.file.load import load
from tests.support.studies import scripted_study

STUDY = """\
study: shaky
seeds:
  - {name: world, world: {count: 12}}
models:
  small: {source: small, engine: scripted, cpus: 0.1, runtime: {poison: POISON}}
evolution: {evolvers: [small], rounds: 1}
responses: {teachers: [small]}
"""


@pytest.fixture
def alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(again.ray, "is_initialized", lambda: True)


class Attempt:
    """Raises the given errors, one per call, and then returns 42."""

    def __init__(self, *errors: Exception) -> None:
        self.errors, self.made = [*errors], 0

    def __call__(self) -> int:
        self.made += 1
        if self.errors:
            raise self.errors.pop(0)
        return 42


def lost() -> EngineLost:
    return EngineLost("small", "its process died")


@pytest.mark.usefixtures("alive")
@pytest.mark.parametrize("error", [lost(), SandboxError("gone [/x]"), RayActorError()])
def test_a_failure_of_infrastructure_is_tried_again_with_a_line_to_the_user(error: Exception) -> None:
    attempt, told, prepared, retries = Attempt(error), list[str](), list[int](), RetryBudget()
    assert with_retries(retries, "stream", attempt, told.append, lambda: prepared.append(attempt.made)) == 42
    assert (attempt.made, prepared, len(told)) == (2, [1], 1)
    assert " ".join(str(error).split()) in Text.from_markup(told[0]).plain
    assert "stream failed" in told[0] and f"retry 1 of {MAX_STEP_RETRIES}" in told[0]
    assert retries.all() == [Retry(level="step", of="stream", spent=1, allowed=str(MAX_STEP_RETRIES))]


@pytest.mark.usefixtures("alive")
def test_beyond_the_budget_the_last_failure_is_raised() -> None:
    attempt = Attempt(*(lost() for _ in range(MAX_STEP_RETRIES + 5)))
    with pytest.raises(EngineLost, match="its process died"):
        with_retries(RetryBudget(), "stream", attempt, print, lambda: None)
    assert attempt.made == MAX_STEP_RETRIES + 1


@pytest.mark.usefixtures("alive")
@pytest.mark.parametrize(
    "error", [LoadError("small", "no such file"), ValueError("ours"), RayTaskError("f", "trace", ValueError("ours"))]
)
def test_what_would_fail_again_is_not_tried_again(error: Exception) -> None:
    attempt = Attempt(error)
    with pytest.raises(type(error)):
        with_retries(RetryBudget(), "stream", attempt, print, lambda: None)
    assert attempt.made == 1


@pytest.mark.usefixtures("alive")
def test_a_phase_that_is_tried_again_is_given_what_is_still_pending(tmp_path: Path) -> None:
    store, board = Store(str(tmp_path)), ProgressDisplay(Console(file=io.StringIO()))
    study, given = scripted_study(), list[Plan]()
    plan = make_plan(study, Path(), store)
    step = plan.pending[0]

    def phase(context: RunContext, plan: Plan) -> Plan:
        given.append(plan)
        if len(given) == 1:
            commit_rows(context.store, step, [], [], 0, 0.0)
            raise lost()
        return plan.with_finished(each.key for each in plan.pending)

    context = RunContext(study, Path(), store, board, machine())
    left = _run_with_retries(context, "stream", phase, plan)
    assert [len(each.pending) for each in given] == [len(plan.pending), len(plan.pending) - 1]
    assert step not in given[1].pending and given[1].done == {step.key}
    assert left.pending == () and left.done == plan.grid.steps.keys()


def test_retries_of_all_levels_add_up_and_survive_the_store(tmp_path: Path) -> None:
    retries = RetryBudget()
    stats = PoolStats((), 1, 0, 0, ReplicaStats(crashes=2, retries=7), frozenset(), (), (), retried=5)
    for _ in range(2):
        retries.add_pool("small", stats)
        retries.add_training("train a", 1)
    retries.add_training("train b", 0)
    store = Store(str(tmp_path))
    assert load_retries(store, "s") == []
    save_retries(store, "s", retries.all())
    found = {(retry.level, retry.of): retry.spent for retry in load_retries(store, "s")}
    assert found == {
        ("request", "small, to its endpoint"): 14,
        ("request", "small, after a crash"): 10,
        ("replica", "small"): 4,
        ("training", "train a"): 2,
    }


@pytest.mark.faults
@pytest.mark.usefixtures("ray_local")
def test_retries_of_a_run_are_in_its_status_and_in_its_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, store, output = tmp_path / "shaky.yaml", Store(str(tmp_path / "store")), io.StringIO()
    path.write_text(STUDY.replace("POISON", "Add"))
    real, failures = flow._run_dataset, [lost()]

    def shaky(*arguments: Any) -> Any:
        stream = real(*arguments)
        if failures:
            raise failures.pop()
        return stream

    monkeypatch.setattr(flow, "_run_dataset", shaky)
    run(load(path), store, None, Console(file=output, width=200))
    assert "stream of rows failed" in output.getvalue()
    found = {retry.level: retry for retry in load_retries(store, "shaky")}
    assert found["step"].spent == 1
    told = CliRunner().invoke(app, ["status", str(path), "--store", store.root], env={"COLUMNS": "200"})
    assert told.exit_code == 0, told.exception
    report = Path(store.root, "studies", "shaky", "report", "report.md").read_text()
    page = Path(store.root, "studies", "shaky", "report", "index.html").read_text()
    for text in (told.stdout, report, page):
        assert "stream of rows" in text
        if "replica" in found:
            assert found["replica"].allowed in text
