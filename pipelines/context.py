"""What every phase of a run needs at hand."""

from __future__ import annotations

import uuid
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from actors.pool import Pool
from cluster.errors import ClusterError
from cluster.inventory import inventory
from cluster.placement import Request, check_fits
from pipelines.plan import Plan
from pipelines.progress import Board
from pipelines.store.manifest import Manifest
from pipelines.store.store import Store
from pipelines.study.models import engine_spec
from pipelines.study.spec import Study
from pipelines.study.steps import Step

READY_SECONDS = 600.0


@dataclass
class Context:
    """A study, its plan, the store and the board. `run` names this run's actors."""

    study: Study
    folder: Path
    store: Store
    plan: Plan
    board: Board
    run: str = field(default_factory=lambda: uuid.uuid4().hex[:8])

    @contextmanager
    def pools(self, names: set[str]) -> Generator[dict[str, Pool]]:
        """Pools of these models, loaded at the same time, and freed at the end.

        Raises ClusterError if the cluster could not hold them all even when idle, LoadError if one can not be loaded.
        """
        self.check_room(names)
        pools = {name: self.pool(name) for name in sorted(names)}
        try:
            for pool in pools.values():
                pool.ready(READY_SECONDS)
            yield pools
        finally:
            for pool in pools.values():
                pool.close()

    def check_room(self, names: set[str]) -> None:
        """Refuse models that do not fit side by side: some would wait for ever."""
        models = [self.study.models[name] for name in names]
        here = inventory()
        asks = [Request(name, m.cpus, m.gpus, m.replicas) for name, m in zip(names, models, strict=True)]
        for misfit in check_fits(asks, here):
            raise ClusterError(misfit)
        for what, asked, have in (
            ("CPUs", sum(model.cpus * model.replicas for model in models), here.cpus),
            ("GPUs", sum(model.gpus * model.replicas for model in models), here.gpus),
        ):
            if asked > have:
                raise ClusterError(
                    f"{', '.join(sorted(names))} need {asked:g} {what} together, the cluster has {have:g}: "
                    f"lower their replicas or {what.lower()} in the study, or use a larger cluster"
                )

    def pool(self, name: str, path: str | None = None) -> Pool:
        """The replicas of one model of the study; `path` replaces its weights by a trained checkpoint's."""
        model = self.study.models[name]
        spec = engine_spec(model, self.folder, path)
        return Pool(spec, f"{self.run}/{name}", model.replicas, model.cpus, model.gpus)

    def expected_rows(self, step: Step) -> int:
        """The rows that will reach a row-wise step if none is rejected before."""
        while step.inputs:
            step = step.inputs[0]
        return self.store.manifest(step.kind, step.key).account.rows_out

    def told(self, manifest: Manifest) -> str:
        """A finished step in one line."""
        account = manifest.account
        lost = [f"{count} {reason}" for reason, count in account.reasons.items()]
        rows = f"{account.rows_in} in, {account.rows_out} out" + (f" ({', '.join(lost)})" if lost else "")
        return f"[green]done[/green] {manifest.label}: {rows}, {manifest.seconds:.1f} s"
