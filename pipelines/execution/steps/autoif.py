"""AutoIF's steps that come before the stream: formats are made, verified and paired with queries (2406.13542)."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping

from actors.engine import Client
from pipelines.errors import InputError
from pipelines.execution.runtime.commit import commit_rows, commit_step
from pipelines.execution.runtime.context import RunContext
from pipelines.execution.runtime.progress import ProgressDisplay
from pipelines.execution.runtime.sandboxes import sandboxes
from pipelines.execution.steps.method_optimization import check_capacity
from pipelines.execution.stream.totals import StepProgress
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
from pipelines.rows.text import user_turn
from pipelines.rows.types import InstructionRow, VerifiedRow
from pipelines.store.journaled_client import JournaledClient, journaling
from pipelines.store.manifest import Manifest
from pipelines.store.shards import partitions_of, write_shards
from pipelines.store.store import Store
from pipelines.study.graph.params import AugmentParams, PairParams, VerifyParams
from pipelines.study.graph.step import Step


def run_autoif(context: RunContext, plan: Plan) -> Plan:
    """Run and commit all pending augment, verify and pair steps; return the plan with them finished.

    Evolver and NLI model take turns within a step: ClusterError if the cluster can not hold both at once. InputError
    if there are fewer usable queries than a pair step draws, before anything is asked. SandboxError if the sandbox
    fails.
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
    """The models that an augment or verify step asks."""
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
    """Run and commit one augment step: the given instructions and the new ones, each once."""
    job, started = step.params, time.monotonic()
    assert isinstance(job, AugmentParams)
    sampler = RepeatedSampler(JournaledClient(clients[job.model], step.kind, step.key), job.sampling.sampling, job.seed)
    with journaling(store, step.kind, step.key):
        draws = asyncio.run(Augment(sampler, job.runs)(job.instructions, step.key)) if job.runs else ()
    rows, lost = format_rows(job.instructions, draws, step.key)
    extra = {"replies": dict(Counter(draw.outcome for draw in draws))}
    return commit_rows(store, step, [*rows], lost, len(rows) + len(lost), time.monotonic() - started, extra=extra)


def run_verify(
    store: Store, step: Step, clients: Mapping[str, Client], runner: Runner, progress: ProgressSink
) -> Manifest:
    """Run and commit one verify step whose instructions are finished, from where an earlier run stopped."""
    job, (source,), started = step.params, step.inputs, time.monotonic()
    assert isinstance(job, VerifyParams)
    journaled = {name: JournaledClient(client, step.kind, step.key) for name, client in clients.items()}
    sampler, rules = RepeatedSampler(journaled[job.model], job.sampling.sampling, job.seed), THRESHOLDS[job.rules]
    translate = BackTranslate(sampler, NliModel(journaled[job.nli], job.nli)) if job.nli else None
    operator = VerifyFormat(Verify(sampler, runner, rules, job.generations), translate)
    worker = StreamWorker(
        store, [TreeRoot(source.kind, source.key, (StepNode(step.kind, step.key, operator, ()),))], progress
    )

    async def process_partitions() -> None:
        async for _ in worker({"unit": partitions_of(store, source.kind, source.key)}):
            pass

    asyncio.run(process_partitions())
    shards, account = write_shards(store, step.kind, step.key, store.manifest(source.kind, source.key).account.rows_out)
    return commit_step(store, step, account, shards, time.monotonic() - started)


class _DraftCounter:
    """Shows how many instructions are through."""

    def __init__(self, display: ProgressDisplay, step: Step, total: int) -> None:
        self.display, self.step, self.total, self.done = display, step, total, 0

    def add(self, progress: Mapping[str, StepProgress]) -> None:
        """Take note of what was added."""
        self.done += sum(more.rows + more.rejected + more.failed for more in progress.values())
        self.display.update(self.step.key, self.step.label, self.done, self.total)


def usable_queries(store: Store, step: Step) -> dict[str, InstructionRow]:
    """The seeds of a pair step that serve as queries, by their text. InputError if it draws more than there are."""
    job, (_, seeds) = step.params, step.inputs
    assert isinstance(job, PairParams)
    rows = from_table(InstructionRow, store.rows(seeds.kind, seeds.key))
    found = filter_queries({user_turn(row.instruction, row.input): row for row in reversed(rows)})
    if len(found) < job.queries:
        raise InputError(
            f"{job.queries} queries are to be drawn for each instruction, and the seeds '{seeds.subject}' have "
            f"{len(found)} of more than 20 and fewer than 300 characters",
            field="autoif.queries",
            remedy="Draw fewer, or give more seeds.",
        )
    return found


def run_pair(store: Store, step: Step) -> Manifest:
    """Make and commit one pair step whose inputs are finished."""
    job, (verified, _), started = step.params, step.inputs, time.monotonic()
    assert isinstance(job, PairParams)
    formats = from_table(VerifiedRow, store.rows(verified.kind, verified.key))
    rows = paired_rows(formats, usable_queries(store, step), job, step.key)
    return commit_rows(store, step, [*rows], [], len(rows), time.monotonic() - started)
