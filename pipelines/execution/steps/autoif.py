"""AutoIF's steps that come before the stream: formats are made, verified and paired with queries (2406.13542)."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping

from actors.engine import Client
from pipelines.errors import InputError
from pipelines.execution.runtime.commit import commit, commit_rows
from pipelines.execution.runtime.context import Context
from pipelines.execution.runtime.sandboxes import sandboxes
from pipelines.execution.steps.method_optimization import check_room
from pipelines.execution.stream.totals import Progress
from pipelines.execution.stream.tree import Branch, Root
from pipelines.execution.stream.worker import Tally, Walker
from pipelines.operators.autoif.augment import Augment, format_rows
from pipelines.operators.autoif.back_translation import BackTranslate, NliModel
from pipelines.operators.autoif.function_runs import Runner
from pipelines.operators.autoif.query_pairing import paired_rows, usable
from pipelines.operators.autoif.sampling import Asker
from pipelines.operators.autoif.thresholds import RULES
from pipelines.operators.autoif.verify import Verify, VerifyFormat
from pipelines.rows.arrow import from_table
from pipelines.rows.text import user_turn
from pipelines.rows.types import InstructionRow, VerifiedRow
from pipelines.store.journaled_client import Remembering, remembered
from pipelines.store.manifest import Manifest
from pipelines.store.shards import units_of, write_shards
from pipelines.store.store import Store
from pipelines.study.graph.params import AugmentJob, PairJob, VerifyJob
from pipelines.study.graph.step import Step


def run_autoif(context: Context) -> None:
    """Run and commit all unfinished augment, verify and pair steps of the plan.

    Evolver and NLI model take turns within a step: ClusterError if the cluster can not hold both at once. InputError
    if there are fewer usable queries than a pair step draws, before anything is asked. SandboxError if the sandbox
    fails.
    """
    pairs = context.plan.pending_of("pair")
    for step in pairs:
        usable_queries(context.store, step)
    steps = context.plan.pending_of("augment", "verify")
    casts = [models_of(step) for step in steps]
    for models in casts:
        check_room(context, models)
    if steps:
        with context.stage() as stage:
            for number, step in enumerate(steps):
                pools = stage.enter(casts[number], casts[number + 1 :], context.ready_seconds)
                _run(context, step, {name: pool.client() for name, pool in pools.items()})
    for step in pairs:
        context.board.finish(step.key, context.told(pair(context.store, step)))


def models_of(step: Step) -> tuple[str, ...]:
    """The models that an augment or verify step asks."""
    job = step.job
    if isinstance(job, VerifyJob) and job.nli:
        return tuple(dict.fromkeys((job.model, job.nli)))
    assert isinstance(job, AugmentJob | VerifyJob)
    return (job.model,)


def _run(context: Context, step: Step, clients: Mapping[str, Client]) -> None:
    if isinstance(step.job, AugmentJob):
        manifest = augment(context.store, step, clients)
    else:
        assert isinstance(step.job, VerifyJob)
        with sandboxes(context, [step]) as boxes:
            manifest = verify(context.store, step, clients, boxes[step.job.level], _Board(context, step))
    context.board.finish(step.key, context.told(manifest))


def augment(store: Store, step: Step, clients: Mapping[str, Client]) -> Manifest:
    """Run and commit one augment step: the given instructions and the new ones, each once."""
    job, started = step.job, time.monotonic()
    assert isinstance(job, AugmentJob)
    ask = Asker(Remembering(clients[job.model], step.kind, step.key), job.sampling.sampling, job.seed)
    with remembered(store, step.kind, step.key):
        draws = asyncio.run(Augment(ask, job.runs)(job.instructions, step.key)) if job.runs else ()
    rows, lost = format_rows(job.instructions, draws, step.key)
    told = {"replies": dict(Counter(draw.outcome for draw in draws))}
    return commit_rows(store, step, [*rows], lost, len(rows) + len(lost), time.monotonic() - started, extra=told)


def verify(store: Store, step: Step, clients: Mapping[str, Client], runner: Runner, tally: Tally) -> Manifest:
    """Run and commit one verify step whose instructions are finished, from where an earlier run stopped."""
    job, (source,), started = step.job, step.inputs, time.monotonic()
    assert isinstance(job, VerifyJob)
    kept = {name: Remembering(client, step.kind, step.key) for name, client in clients.items()}
    ask, rules = Asker(kept[job.model], job.sampling.sampling, job.seed), RULES[job.rules]
    translate = BackTranslate(ask, NliModel(kept[job.nli], job.nli)) if job.nli else None
    does = VerifyFormat(Verify(ask, runner, rules, job.generations), translate)
    walker = Walker(store, [Root(source.kind, source.key, (Branch(step.kind, step.key, does, ()),))], tally)

    async def walk() -> None:
        async for _ in walker({"unit": units_of(store, source.kind, source.key)}):
            pass

    asyncio.run(walk())
    shards, account = write_shards(store, step.kind, step.key, store.manifest(source.kind, source.key).account.rows_out)
    return commit(store, step, account, shards, time.monotonic() - started)


class _Board:
    """Shows how many instructions are through."""

    def __init__(self, context: Context, step: Step) -> None:
        self.board, self.step, self.done = context.board, step, 0
        self.total = context.rows_of(step.inputs[0])

    def add(self, progress: Mapping[str, Progress]) -> None:
        """Take note of what was added."""
        self.done += sum(more.rows + more.rejected + more.failed for more in progress.values())
        self.board.update(self.step.key, self.step.label, self.done, self.total)


def usable_queries(store: Store, step: Step) -> dict[str, InstructionRow]:
    """The seeds of a pair step that serve as queries, by their text. InputError if it draws more than there are."""
    job, (_, seeds) = step.job, step.inputs
    assert isinstance(job, PairJob)
    rows = from_table(InstructionRow, store.rows(seeds.kind, seeds.key))
    found = usable({user_turn(row.instruction, row.input): row for row in reversed(rows)})
    if len(found) < job.queries:
        raise InputError(
            f"{job.queries} queries are to be drawn for each instruction, and the seeds '{seeds.subject}' have "
            f"{len(found)} of more than 20 and fewer than 300 characters",
            field="autoif.queries",
            remedy="Draw fewer, or give more seeds.",
        )
    return found


def pair(store: Store, step: Step) -> Manifest:
    """Make and commit one pair step whose inputs are finished."""
    job, (verified, _), started = step.job, step.inputs, time.monotonic()
    assert isinstance(job, PairJob)
    formats = from_table(VerifiedRow, store.rows(verified.kind, verified.key))
    rows = paired_rows(formats, usable_queries(store, step), job, step.key)
    return commit_rows(store, step, [*rows], [], len(rows), time.monotonic() - started)
