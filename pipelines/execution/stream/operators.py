"""The operators of a stream's steps, also those that look rows up in the store."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from actors.engine import Client
from actors.sandbox.protocol.job import Level
from actors.serving.pool import Pool
from pipelines.evaluate.judged import questions
from pipelines.evaluate.judged.verdict import Verdict
from pipelines.evaluate.suite import items
from pipelines.execution.runtime.context import Context
from pipelines.execution.stream.tree import Branch, Root
from pipelines.operators.autoif.answer_judge import Score
from pipelines.operators.autoif.check import Check
from pipelines.operators.autoif.function_runs import Runner
from pipelines.operators.autoif.sampling import Asker
from pipelines.operators.autoif.thresholds import RULES
from pipelines.operators.registry import operator
from pipelines.rows.arrow import from_table
from pipelines.rows.operator import Operator
from pipelines.rows.types import AnswerRow, MethodRow, PairedRow, ResponseRow
from pipelines.store.journaled_client import Remembering
from pipelines.store.partitions import unit_of
from pipelines.store.shards import read_unit
from pipelines.store.store import Store
from pipelines.study.graph.params import CheckJob, OptimizeJob, VerdictJob
from pipelines.study.graph.step import Step, model_of, rows_of_one


@dataclass(frozen=True)
class Pairs:
    """The rows of a finished pair step, read as they are needed."""

    store: Store
    key: str

    def __call__(self, answer: ResponseRow) -> PairedRow:
        """What an answer answers."""
        return _unit(self.store.url, self.key, unit_of(answer.index))[answer.parent_id]


@lru_cache(maxsize=16)
def _unit(url: str, key: str, unit: int) -> dict[str, PairedRow]:
    return {row.id: row for row in read_unit(Store(url), "pair", key, unit) if isinstance(row, PairedRow)}


def checker(store: Store, step: Step, client: Client, runner: Runner) -> Check:
    """What a check step does with an answer."""
    job, (answers,) = step.job, step.inputs
    assert isinstance(job, CheckJob)
    rules = RULES[job.rules]
    score = Score(Asker(client, job.sampling.sampling, job.seed), rules, job.judgements)
    return Check(runner, score, rules, Pairs(store, answers.inputs[0].key))


def verdict_operator(store: Store, folder: Path, step: Step, client: Client) -> Verdict:
    """What a verdict step does with an answer; its inputs are finished. `folder` is the study file's."""
    job = step.job
    assert isinstance(job, VerdictJob) and job.benchmark.judge
    bench, judge = job.benchmark, job.benchmark.judge
    asked = items(bench, folder, 0)
    data = {item.id: item.data for item in asked}
    others: dict[str, tuple[str, ...]] = {}
    if len(step.inputs) > 1:
        source = step.inputs[1]
        rows = from_table(AnswerRow, store.rows(source.kind, source.key))
        others = {row.item: tuple(row.answers) for row in rows}
    elif judge.reference:
        others = questions.references(bench, folder / judge.reference, asked)
    return Verdict(client, bench, data, others)


def roots(
    context: Context, steps: tuple[Step, ...], pools: Mapping[str, Pool], boxes: Mapping[Level, Runner]
) -> list[Root]:
    """The trees of unfinished steps, by the finished steps that they start from. `boxes` are sandboxes by level."""
    clients = {name: pool.client() for name, pool in pools.items()}  # one each: a step is a lane of it
    methods = best_methods(context.store, steps)
    children: dict[str, list[Step]] = defaultdict(list)
    for step in steps:
        children[step.inputs[0].key].append(step)

    def branch(step: Step) -> Branch:
        below = tuple(branch(child) for child in children[step.key])
        lane = Remembering(clients[model_of(step)].lane(step.key), step.kind, step.key)
        if isinstance(step.job, CheckJob):
            does: Operator = checker(context.store, step, lane, boxes[step.job.level])
        elif isinstance(step.job, VerdictJob):
            does = verdict_operator(context.store, context.folder, step, lane)
        else:
            does = operator(step, lane, context.study.seed, methods.get(step.key, ""))
        return Branch(step.kind, step.key, does, below, rows_of_one(step.job))

    pending = {step.key for step in steps}
    starts = {step.inputs[0].key: step.inputs[0] for step in steps if step.inputs[0].key not in pending}
    return [Root(start.kind, key, tuple(branch(step) for step in children[key])) for key, start in starts.items()]


def best_methods(store: Store, steps: Iterable[Step]) -> dict[str, str]:
    """The methods that finished optimizations found, by the keys of the steps that evolve with them."""
    found: dict[str, str] = {}
    for step in steps:
        for source in step.inputs:
            if isinstance(source.job, OptimizeJob):
                rows = from_table(MethodRow, store.rows(source.kind, source.key))
                (found[step.key],) = (row.method for row in rows if row.best)
    return found
