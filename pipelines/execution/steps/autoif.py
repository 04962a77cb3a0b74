"""Runs AutoIF's steps before the stream: formats are generated, verified and paired with queries (2406.13542)."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping

from actors.engine import Client
from pipelines.coroutines import run_coroutine
from pipelines.errors import InputError
from pipelines.execution.runtime.commit import commit_rows, commit_step
from pipelines.execution.runtime.context import RunContext
from pipelines.execution.runtime.progress import ProgressDisplay
from pipelines.execution.runtime.sandboxes import sandboxes
from pipelines.execution.steps.method_optimization import check_capacity
from pipelines.execution.stream.totals import PartitionProgress
from pipelines.execution.stream.tree import StepNode, TreeRoot
from pipelines.execution.stream.worker import ProgressSink, StreamWorker
from pipelines.operators.autoif.augment import Augment, format_rows
from pipelines.operators.autoif.back_translation import BackTranslate, NliModel
from pipelines.operators.autoif.function_runs import Runner
from pipelines.operators.autoif.query_pairing import filter_queries, paired_rows
from pipelines.operators.autoif.sampling import RepeatedSampler
from pipelines.operators.autoif.thresholds import THRESHOLDS
from pipelines.operators.autoif.verify import Verify, VerifyFormat
from pipelines.planning.plan import Plan
from pipelines.rows.arrow import from_table
from pipelines.rows.types import InstructionRow, VerifiedRow
from pipelines.store.journaled_client import JournaledClient, journaling
from pipelines.store.manifest import Manifest
from pipelines.store.shards import write_shards
from pipelines.store.store import Store
from pipelines.study.graph.steps.params.instructions import AugmentParams, PairParams, VerifyParams
from pipelines.study.graph.steps.step import Step


def run_autoif(context: RunContext, plan: Plan) -> Plan:
    """Run and commit all pending augment, verify and pair steps; return the plan with them finished.

    A verify step alternates between evolver and NLI model, so both must be loaded at the same time.

    Raises:
        ClusterError: If the models of a step do not fit into the cluster together.
        InputError: If a pair step draws more queries than there are usable ones. It is raised before any request.
        SandboxError: If the sandbox fails.
    """
    pairs = plan.pending_of("pair")
    for step in pairs:
        usable_queries(context.store, step)
    steps = plan.pending_of("augment", "verify")
    models_by_step = [models_of(step) for step in steps]
    for models in models_by_step:
        check_capacity(context.study, context.cluster, models)
    if steps:
        with context.residency() as stage:
            for number, step in enumerate(steps):
                pools = stage.activate(models_by_step[number], models_by_step[number + 1 :], context.ready_timeout)
                _run_step(context, step, {name: pool.client() for name, pool in pools.items()})
    for step in pairs:
        context.progress.finish_step(run_pair(context.store, step))
    return plan.with_finished(step.key for step in (*steps, *pairs))


def models_of(step: Step) -> tuple[str, ...]:
    """Return the names of the models that an augment or verify step uses."""
    job = step.params
    if isinstance(job, VerifyParams) and job.nli:
        return tuple(dict.fromkeys((job.model, job.nli)))
    assert isinstance(job, AugmentParams | VerifyParams)
    return (job.model,)


def _run_step(context: RunContext, step: Step, clients: Mapping[str, Client]) -> None:
    if isinstance(step.params, AugmentParams):
        manifest = run_augment(context.store, step, clients)
    else:
        assert isinstance(step.params, VerifyParams)
        counter = _DraftCounter(context.progress, step, context.row_counts.of(step.inputs[0]))
        with sandboxes(context.cluster, [step]) as boxes:
            manifest = run_verify(context.store, step, clients, boxes[step.params.level], counter)
    context.progress.finish_step(manifest)


def run_augment(store: Store, step: Step, clients: Mapping[str, Client]) -> Manifest:
    """Run and commit one augment step. Its rows are the given and the generated instructions, without duplicates."""
    job, started = step.params, time.monotonic()
    assert isinstance(job, AugmentParams)
    client = JournaledClient(clients[job.model], step.kind, step.key)
    sampler = RepeatedSampler(client, job.sampling.sampling, job.seed, job.system)
    with journaling(store, step.kind, step.key):
        draws = run_coroutine(Augment(sampler, job.runs, step.catalog)(job.instructions, step.key)) if job.runs else ()
    rows, lost = format_rows(job.instructions, draws, step.key)
    extra = {"replies": dict(Counter(draw.outcome for draw in draws))}
    return commit_rows(store, step, [*rows], lost, len(rows) + len(lost), time.monotonic() - started, extra=extra)


def run_verify(
    store: Store, step: Step, clients: Mapping[str, Client], runner: Runner, progress: ProgressSink
) -> Manifest:
    """Run and commit one verify step whose input is finished. Resumes from the results of an interrupted run."""
    job, (source,), started = step.params, step.inputs, time.monotonic()
    assert isinstance(job, VerifyParams)
    journaled = {name: JournaledClient(client, step.kind, step.key) for name, client in clients.items()}
    sampler = RepeatedSampler(journaled[job.model], job.sampling.sampling, job.seed, job.system)
    rules = THRESHOLDS[job.rules]
    translate = BackTranslate(sampler, NliModel(journaled[job.nli], job.nli), step.catalog) if job.nli else None
    operator = VerifyFormat(Verify(sampler, runner, rules, job.generations, step.catalog), translate)
    worker = StreamWorker(
        store, [TreeRoot(source.kind, source.key, (StepNode(step.kind, step.key, operator, ()),))], progress
    )

    run_coroutine(worker.process_all())
    shards, account = write_shards(store, step.kind, step.key, store.manifest(source.kind, source.key).account.rows_out)
    return commit_step(store, step, account, shards, time.monotonic() - started)


class _DraftCounter:
    """Shows how many instructions have been processed."""

    def __init__(self, display: ProgressDisplay, step: Step, total: int) -> None:
        self.display, self.step, self.total, self.done = display, step, total, 0

    def add(self, report: PartitionProgress) -> None:
        """Add progress to the count, and display it."""
        self.done += sum(more.rows + more.rejected + more.failed for more in report.steps.values())
        self.display.update(self.step.key, self.step.label, self.done, self.total)


def usable_queries(store: Store, step: Step) -> list[InstructionRow]:
    """Return the seeds of a pair step that can serve as queries, in order.

    Raises:
        InputError: If the step draws more queries than there are.
    """
    job, (_, seeds) = step.params, step.inputs
    assert isinstance(job, PairParams)
    rows = from_table(InstructionRow, store.rows(seeds.kind, seeds.key))
    found = filter_queries(rows)
    if len(found) < job.queries:
        raise InputError(
            f"cannot draw {job.queries} queries for each instruction: the seeds '{seeds.subject}' have only "
            f"{len(found)} with more than 20 and fewer than 300 characters",
            field="autoif.queries",
            remedy="Draw fewer queries, or add seeds.",
        )
    return found


def run_pair(store: Store, step: Step) -> Manifest:
    """Run and commit one pair step whose inputs are finished."""
    job, (verified, _), started = step.params, step.inputs, time.monotonic()
    assert isinstance(job, PairParams)
    formats = from_table(VerifiedRow, store.rows(verified.kind, verified.key))
    rows = paired_rows(formats, usable_queries(store, step), job, step.key)
    return commit_rows(store, step, [*rows], [], len(rows), time.monotonic() - started)
