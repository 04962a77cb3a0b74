"""Runs a study's row-wise steps without Ray, one after the other, on engines in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from actors.engine import Client, EngineSpec
from actors.engines.scripted_engine import ScriptedEngine
from pipelines.execution.runtime.commit import commit_step
from pipelines.execution.steps.autoif import run_augment, run_pair, run_verify
from pipelines.execution.steps.given import run_given
from pipelines.execution.steps.method_optimization import run_optimization
from pipelines.execution.steps.seeds import run_seeds
from pipelines.execution.steps.unions import run_union
from pipelines.execution.stream.operators import StreamInputs, make_stream_operator, read_best_methods
from pipelines.execution.stream.totals import PartitionProgress
from pipelines.execution.stream.tree import StepNode, TreeRoot
from pipelines.execution.stream.worker import StreamWorker
from pipelines.operators.autoif.function_runs import Runner
from pipelines.store.journaled_client import JournaledClient
from pipelines.store.shards import write_shards
from pipelines.store.store import Store
from pipelines.study.graph.build import build
from pipelines.study.graph.steps.grid import Grid
from pipelines.study.graph.steps.params.answers import UnionParams
from pipelines.study.graph.steps.params.instructions import (
    AugmentParams,
    OptimizeParams,
    PairParams,
    SeedsParams,
    VerifyParams,
)
from pipelines.study.graph.steps.step import Step
from pipelines.study.spec.study import Study

HERE = Path()


class _Silent:
    def add(self, report: PartitionProgress) -> None:
        """Ignore progress."""


def run_offline(
    study: Study, store: Store, engines: Mapping[str, Client] | None = None, runner: Runner | None = None
) -> Grid:
    """Run the unfinished steps except selections, trainings and evaluations; return the study's grid.

    `engines` replace the scripted ones by name. `runner` is a sandbox.
    """
    names = {name: engines[name] if engines and name in engines else _scripted(name) for name in study.models}
    grid, done = build(study, HERE), store.finished_keys()
    for step in (step for key, step in grid.steps.items() if key not in done):
        if isinstance(step.params, SeedsParams):
            run_seeds(study, HERE, store, step)
        elif step.kind == "given":
            run_given(study, HERE, store, step)
        elif isinstance(step.params, UnionParams):
            run_union(store, step)
        elif step.params.row_wise:
            run_step(store, step, names[step.params.model], study.seed, runner)
        elif isinstance(step.params, OptimizeParams):
            run_optimization(store, step, names)
        else:
            run_autoif_step(store, step, names, runner)
    return grid


def run_autoif_step(store: Store, step: Step, engines: Mapping[str, Client], runner: Runner | None) -> None:
    """Run a step of AutoIF that precedes the stream. Do nothing for other steps."""
    if isinstance(step.params, AugmentParams):
        run_augment(store, step, engines)
    elif isinstance(step.params, VerifyParams) and runner:
        run_verify(store, step, engines, runner, _Silent())
    elif isinstance(step.params, PairParams):
        run_pair(store, step)


def run_step(store: Store, step: Step, client: Client, seed: int, runner: Runner | None = None) -> None:
    """Run one row-wise step whose input is finished."""
    source, method = step.inputs[0], read_best_methods(store, [step]).get(step.key, "")
    client = JournaledClient(client, step.kind, step.key)
    does = make_stream_operator(StreamInputs(step, client, seed, method, store=store, folder=HERE, runner=runner))
    draws = step.params.rows_per_input
    roots = [TreeRoot(source.kind, source.key, (StepNode(step.kind, step.key, does, (), draws),))]

    asyncio.run(StreamWorker(store, roots, _Silent()).process_all())
    shards, account = write_shards(store, step.kind, step.key, store.rows(source.kind, source.key).num_rows * draws)
    commit_step(store, step, account, shards, 0.0)


def _scripted(name: str) -> Client:
    return ScriptedEngine(EngineSpec("scripted", name))
