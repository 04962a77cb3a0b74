"""The row-wise steps of a study without Ray: every step after the other, on engines in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from actors.engine import Client, EngineSpec
from actors.engines.scripted_engine import ScriptedEngine
from pipelines.execution.runtime.commit import commit, commit_rows
from pipelines.execution.steps import seeds
from pipelines.execution.steps.autoif import augment, pair, verify
from pipelines.execution.steps.method_optimization import optimize
from pipelines.execution.stream.operators import best_methods, checker
from pipelines.execution.stream.totals import Progress
from pipelines.execution.stream.tree import Branch, Root
from pipelines.execution.stream.worker import Walker
from pipelines.operators.autoif.function_runs import Runner
from pipelines.operators.registry import operator
from pipelines.store.journaled_client import Remembering
from pipelines.store.shards import write_shards
from pipelines.store.store import Store
from pipelines.study.graph.build import build
from pipelines.study.graph.grid import Grid
from pipelines.study.graph.params import AugmentJob, CheckJob, OptimizeJob, PairJob, SeedsJob, VerifyJob
from pipelines.study.graph.step import ROW_WISE, Step, model_of, rows_of_one
from pipelines.study.spec.study import Study

HERE = Path()


class _Silent:
    def add(self, progress: Mapping[str, Progress]) -> None:
        """Nobody looks."""


def run_offline(
    study: Study, store: Store, engines: Mapping[str, Client] | None = None, runner: Runner | None = None
) -> Grid:
    """Run what is unfinished, but no selections and students.

    `engines` replace the scripted ones by name, `runner` is a sandbox.
    """
    names = {name: engines[name] if engines and name in engines else _scripted(name) for name in study.models}
    grid, done = build(study, HERE), store.done()
    for step in (step for key, step in grid.steps.items() if key not in done):
        if isinstance(step.job, SeedsJob):
            rows, bad = seeds.make(step.job.seeds, HERE, study.seed, step.key)
            commit_rows(store, step, [*rows], bad, len(rows) + len(bad), 0.0)
        elif step.kind in ROW_WISE:
            run_step(store, step, names[model_of(step)], study.seed, runner)
        elif isinstance(step.job, OptimizeJob):
            optimize(store, step, names)
        else:
            run_autoif_step(store, step, names, runner)
    return grid


def run_autoif_step(store: Store, step: Step, engines: Mapping[str, Client], runner: Runner | None) -> None:
    """Run one step of AutoIF that comes before the stream, if it is one."""
    if isinstance(step.job, AugmentJob):
        augment(store, step, engines)
    elif isinstance(step.job, VerifyJob) and runner:
        verify(store, step, engines, runner, _Silent())
    elif isinstance(step.job, PairJob):
        pair(store, step)


def run_step(store: Store, step: Step, client: Client, seed: int, runner: Runner | None = None) -> None:
    """Run one row-wise step whose input is finished."""
    source, method = step.inputs[0], best_methods(store, [step]).get(step.key, "")
    client = Remembering(client, step.kind, step.key)
    checks = runner if isinstance(step.job, CheckJob) else None
    does = checker(store, step, client, checks) if checks else operator(step, client, seed, method)
    draws = rows_of_one(step.job)
    roots = [Root(source.kind, source.key, (Branch(step.kind, step.key, does, (), draws),))]

    async def walk() -> None:
        async for _ in Walker(store, roots, _Silent())({"unit": np.array([0])}):
            pass

    asyncio.run(walk())
    shards, account = write_shards(store, step.kind, step.key, store.rows(source.kind, source.key).num_rows * draws)
    commit(store, step, account, shards, 0.0)


def _scripted(name: str) -> Client:
    return ScriptedEngine(EngineSpec("scripted", name))
