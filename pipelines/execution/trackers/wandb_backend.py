"""Logs to Weights & Biases, or to a folder that `wandb sync` uploads later."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines.execution.trackers.backend import Target, TrackedRun

STEP = "optimizer_step"  # the x axis: wandb's own step counts calls


class WandbBackend:
    """Keeps a run open for each training, all of them in the group of the study."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._runs: dict[str, Any] = {}

    def log(self, run: TrackedRun, step: int, values: Mapping[str, float]) -> None:
        """Log numbers at a value of the x axis."""
        self._run(run).log({STEP: step, **values})

    def close(self) -> None:
        """Finish all runs, which uploads what is left."""
        while self._runs:
            _, run = self._runs.popitem()
            run.finish()

    def _run(self, run: TrackedRun) -> Any:
        import wandb

        if run.id not in self._runs:
            self._target.folder.mkdir(parents=True, exist_ok=True)
            found = wandb.init(
                project=self._target.project,
                group=self._target.group,
                name=run.name,
                id=run.id,
                config=dict(run.config),
                dir=str(self._target.folder),
                mode="offline" if self._target.offline else "online",
                resume="allow",
                reinit="create_new",
                save_code=False,
                settings=wandb.Settings(silent=True, console="off", x_disable_meta=True, x_disable_stats=True),
            )
            found.define_metric("*", step_metric=STEP)
            self._runs[run.id] = found
        return self._runs[run.id]
