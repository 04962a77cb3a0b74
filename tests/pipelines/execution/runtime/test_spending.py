"""What a run spends is counted once, in all phases and over all runs, and the study's budget stops it cleanly."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from rich.console import Console

from actors.serving.residency import ModelResidency
from actors.serving.spec import PoolStats, ReplicaStats
from pipelines.cli.common.exit_codes import message_and_code
from pipelines.errors import BudgetSpent
from pipelines.execution.runner import run
from pipelines.execution.runtime.spending import SpendingMeter, within_budget
from pipelines.store.store import Store
from pipelines.store.studies.spending_log import ModelSpending, Spending, load_spending, save_spending
from pipelines.study.file.load import load
from pipelines.study.spec.common.model import Model
from pipelines.study.spec.study import Budget
from tests.support.studies import scripted_study

MODELS = {
    "paid": Model.model_validate({"source": "m", "engine": "scripted", "price": {"input": 1.0, "output": 10.0}}),
    "own": Model.model_validate({"source": "m", "engine": "scripted", "gpus": 2.0}),
}


def pool(tokens_in: int, tokens_out: int, replicas: int = 1) -> PoolStats:
    totals = ReplicaStats(requests=1, tokens_in=tokens_in, tokens_out=tokens_out)
    return PoolStats((), replicas, 0, 0, totals, frozenset(), (), ())


@dataclass
class Residency:
    active: list[tuple[str, PoolStats]]
    final_stats: list[tuple[str, PoolStats]] = field(default_factory=list[tuple[str, PoolStats]])

    def active_stats(self) -> list[tuple[str, PoolStats]]:
        return self.active


def counting(meter: SpendingMeter, residency: Residency) -> Any:
    return meter.counting(cast(ModelResidency, residency))


def test_tokens_are_counted_once_while_pools_open_close_and_open_again() -> None:
    meter = SpendingMeter(MODELS, Spending(models={"paid": ModelSpending(tokens_in=5, tokens_out=5, dollars=1.0)}))
    residency = Residency([("paid", pool(100, 10))])
    with counting(meter, residency):
        meter.sample(1)
        residency.active = [("paid", pool(300, 30))]
        meter.sample(1)
        residency.active = []  # offloaded, or being closed
        meter.sample(1)
        residency.final_stats.append(("paid", pool(400, 40)))
        residency.active = [("paid", pool(7, 3))]  # loaded again in a later phase
        meter.sample(1)
        residency.final_stats.append(("paid", pool(8, 4)))
        residency.active = []
    spent = meter.spent.models["paid"]
    assert (spent.tokens_in, spent.tokens_out) == (5 + 408, 5 + 44)
    assert spent.dollars == pytest.approx(1.0 + 408e-6 + 440e-6)


def test_a_second_residency_starts_at_zero_and_evaluators_count_at_their_end() -> None:
    meter = SpendingMeter(MODELS, Spending())
    for _ in range(2):
        with counting(meter, Residency([("paid", pool(100, 10))])):
            meter.sample(1)
    meter.add_pool("students", pool(1, 2))
    assert meter.spent.tokens == 2 * 110 + 3


def test_gpu_hours_are_those_of_ready_replicas_and_of_trainings() -> None:
    meter = SpendingMeter(MODELS, Spending(gpu_hours=1.0))
    with counting(meter, Residency([("own", pool(1, 1, replicas=3)), ("paid", pool(1, 1))])):
        meter.sample(1800)
    meter.gpus_of_trainings = 4.0
    meter.sample(900)
    assert meter.spent.gpu_hours == pytest.approx(1.0 + 3 * 2 * 0.5 + 4 * 0.25)


@pytest.mark.parametrize(
    ("budget", "reached"),
    [
        (Budget(dollars=2.0), ""),
        (Budget(dollars=1.5), "1.50 of 1.50 dollars"),
        (Budget(tokens=20), "30 of 20 tokens"),
        (Budget(tokens=30, gpu_hours=0.5), "30 of 30 tokens and 0.50 of 0.50 GPU-hours"),
    ],
)
def test_a_budget_is_spent_when_one_of_its_limits_is_reached(budget: Budget, reached: str) -> None:
    assert budget.reached(dollars=1.5, tokens=30, gpu_hours=0.5) == reached


def test_a_run_does_not_start_after_its_budget_is_spent(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    study = scripted_study(budget={"tokens": 10})
    save_spending(store, study.study, Spending(models={"small": ModelSpending(tokens_in=10)}))
    with pytest.raises(BudgetSpent, match="10 of 10 tokens"), within_budget(study, store):
        pass


STUDY = """\
study: capped
seeds:
  - {{name: world, world: {{count: 64}}}}
models:
  small: {{source: small, engine: scripted, cpus: 0.1, price: {{input: 1000, output: 1000}}{options}}}
evolution: {{evolvers: [small], rounds: 2}}
responses: {{teachers: [small]}}
{budget}
"""


@pytest.mark.usefixtures("ray_local")
def test_a_run_stops_at_its_budget_and_continues_when_it_is_raised(tmp_path: Path) -> None:
    def go(name: str, budget: str, options: str = "") -> tuple[Store, str]:
        path, store, output = tmp_path / f"{name}.yaml", Store(str(tmp_path / name)), io.StringIO()
        path.write_text(STUDY.format(budget=budget, options=options))
        run(load(path), store, None, Console(file=output, width=200))
        return store, output.getvalue()

    slow = ", in_flight: 1, runtime: {latency: 0.1}"
    with pytest.raises(BudgetSpent) as stopped:
        go("capped", "budget: {tokens: 400}", slow)
    message, code = message_and_code(stopped.value)
    assert code == 1 and "of 400 tokens" in message and "1 of 6 steps are done, 5 are left" in message
    capped = Store(str(tmp_path / "capped"))
    before = load_spending(capped, "capped")
    assert before.tokens >= 400 and before.dollars == pytest.approx(before.tokens / 1000)

    go("capped", "budget: {tokens: 1000000000}")
    free, _ = go("free", "")
    spent, once = load_spending(capped, "capped"), load_spending(free, "capped")
    assert before.tokens < spent.tokens

    def contents(store: Store) -> dict[str, bytes]:
        root = Path(store.root) / "steps"
        return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.parquet")}

    assert contents(capped) == contents(free)
    # what was answered before the stop is not asked again, except for what was in flight or not yet saved
    assert once.tokens <= spent.tokens < 1.5 * once.tokens
