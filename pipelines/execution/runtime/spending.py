"""Measures what a run spends (tokens, dollars of endpoints, GPU-hours), and stops it at the study's budget."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from ray.exceptions import RayError

from actors.engine import EngineLost
from actors.serving.residency import ModelResidency
from actors.serving.spec import PoolStats
from pipelines.errors import BudgetSpent
from pipelines.store.store import Store
from pipelines.store.studies.spending_log import ModelSpending, Spending, load_spending, save_spending
from pipelines.study.spec.common.model import Model
from pipelines.study.spec.study import Study

SAMPLE_SECONDS = 1.0
SAVE_SECONDS = 10.0


@dataclass
class SpendingMeter:
    """Adds what a run spends to what the study spent before. Several threads may call it.

    GPU-hours are the time for which replicas and trainings hold GPUs. `gpus_of_trainings` is their number at present.
    """

    models: Mapping[str, Model]
    spent: Spending
    gpus_of_trainings: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _residency: ModelResidency | None = None
    _counted: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])

    @contextmanager
    def counting(self, residency: ModelResidency) -> Generator[None]:
        """Count what the pools of a residency spend while the block runs. The residency must be closed within it."""
        with self._lock:
            self._residency, self._counted = residency, Counter()
        try:
            yield
        finally:
            self.sample(0.0)
            with self._lock:
                self._residency = None

    def add_pool(self, name: str, stats: PoolStats) -> None:
        """Count all that a closed pool has spent, which belongs to no residency."""
        with self._lock:
            self._add(name, stats.totals.tokens_in, stats.totals.tokens_out)

    def add_tokens(self, name: str, tokens_in: int, tokens_out: int) -> None:
        """Count what a model has read and written outside of a pool."""
        with self._lock:
            self._add(name, tokens_in, tokens_out)

    def sample(self, seconds: float) -> Spending:
        """Count what was spent within the last `seconds`, and return the spending so far."""
        residency = self._residency
        active: list[tuple[str, PoolStats]] = []
        with suppress(RayError, EngineLost):  # a pool that was closed meanwhile
            active = residency.active_stats() if residency else []
        with self._lock:
            if residency is not None and residency is self._residency:
                self._count_growth([*residency.final_stats, *active])
            gpus = sum(stats.replicas * self.models[name].gpus for name, stats in active)
            hours = (gpus + self.gpus_of_trainings) * seconds / 3600
            self.spent = self.spent.model_copy(update={"gpu_hours": self.spent.gpu_hours + hours})
            return self.spent

    def _count_growth(self, pools: Sequence[tuple[str, PoolStats]]) -> None:
        totals = Counter[tuple[str, str]]()
        for name, stats in pools:
            totals[name, "in"] += stats.totals.tokens_in
            totals[name, "out"] += stats.totals.tokens_out
        growth = totals - self._counted  # a total is smaller than before while its pool is offloaded or being closed
        for name in {name for name, _ in growth}:
            self._add(name, growth[name, "in"], growth[name, "out"])
        self._counted |= totals

    def _add(self, name: str, tokens_in: int, tokens_out: int) -> None:
        old = self.spent.models.get(name, ModelSpending())
        price = self.models[name].price if name in self.models else None
        new = ModelSpending(
            tokens_in=old.tokens_in + tokens_in,
            tokens_out=old.tokens_out + tokens_out,
            dollars=old.dollars + (price.dollars(tokens_in, tokens_out) if price else 0.0),
        )
        self.spent = self.spent.model_copy(update={"models": self.spent.models | {name: new}})


@contextmanager
def within_budget(study: Study, store: Store) -> Generator[SpendingMeter]:
    """Yield a meter that interrupts the main thread when the study's budget is spent, as Ctrl-C would.

    The study's spending is saved in the store every few seconds and at the end.

    Raises:
        BudgetSpent: The budget is spent, before the block or within it.
    """
    meter = SpendingMeter(study.models, load_spending(store, study.study))
    if reached := _budget_reached(study, meter.spent):
        raise BudgetSpent(reached)
    exceeded, stopped = list[str](), threading.Event()

    def watch() -> None:
        sampled = saved = time.monotonic()
        while not stopped.wait(SAMPLE_SECONDS):
            now = time.monotonic()
            spent, sampled = meter.sample(now - sampled), now
            if now - saved > SAVE_SECONDS:
                save_spending(store, study.study, spent)
                saved = now
            if not exceeded and (found := _budget_reached(study, spent)):
                exceeded.append(found)
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=watch, name="spending", daemon=True)
    thread.start()
    try:
        yield meter
    except KeyboardInterrupt:
        if not exceeded:
            raise
        raise BudgetSpent(exceeded[0]) from None
    finally:
        stopped.set()
        thread.join()
        save_spending(store, study.study, meter.sample(0.0))


def _budget_reached(study: Study, spent: Spending) -> str:
    return study.budget.reached(spent.dollars, spent.tokens, spent.gpu_hours) if study.budget else ""
