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
from pipelines.evaluate.suite import load_items
from pipelines.evaluate.verdict import Verdict, read_references
from pipelines.execution.runtime.context import RunContext
from pipelines.execution.stream.tree import StepNode, TreeRoot
from pipelines.operators.autoif.answer_judge import ResponseScorer
from pipelines.operators.autoif.check import CheckResponses
from pipelines.operators.autoif.function_runs import Runner
from pipelines.operators.autoif.sampling import RepeatedSampler
from pipelines.operators.autoif.thresholds import THRESHOLDS
from pipelines.operators.registry import make_operator
from pipelines.rows.arrow import from_table
from pipelines.rows.operator import Operator
from pipelines.rows.types import AnswerRow, MethodRow, PairedRow, ResponseRow
from pipelines.store.journaled_client import JournaledClient
from pipelines.store.partitions import partition_of
from pipelines.store.shards import read_partition_rows
from pipelines.store.store import Store
from pipelines.study.graph.params import CheckParams, OptimizeParams, VerdictParams
from pipelines.study.graph.step import Step, model_of, rows_per_input


@dataclass(frozen=True)
class PairLookup:
    """The rows of a finished pair step, read as they are needed."""

    store: Store
    key: str

    def __call__(self, answer: ResponseRow) -> PairedRow:
        """What an answer answers."""
        return _read_partition(self.store.url, self.key, partition_of(answer.index))[answer.parent_id]


@lru_cache(maxsize=16)
def _read_partition(url: str, key: str, partition: int) -> dict[str, PairedRow]:
    return {
        row.id: row for row in read_partition_rows(Store(url), "pair", key, partition) if isinstance(row, PairedRow)
    }


def check_operator(store: Store, step: Step, client: Client, runner: Runner) -> CheckResponses:
    """What a check step does with an answer."""
    job, (answers,) = step.params, step.inputs
    assert isinstance(job, CheckParams)
    rules = THRESHOLDS[job.rules]
    score = ResponseScorer(RepeatedSampler(client, job.sampling.sampling, job.seed), rules, job.judgements)
    return CheckResponses(runner, score, rules, PairLookup(store, answers.inputs[0].key))


def verdict_operator(store: Store, folder: Path, step: Step, client: Client) -> Verdict:
    """What a verdict step does with an answer; its inputs are finished. `folder` is the study file's."""
    job = step.params
    assert isinstance(job, VerdictParams) and job.benchmark.judge
    bench, judge = job.benchmark, job.benchmark.judge
    bench_items = load_items(bench, folder, 0)
    data = {item.id: item.data for item in bench_items}
    others: Mapping[str, tuple[str, ...]] = {}
    if len(step.inputs) > 1:
        source = step.inputs[1]
        rows = from_table(AnswerRow, store.rows(source.kind, source.key))
        others = {row.item: tuple(row.answers) for row in rows}
    elif judge.reference:
        others = read_references(bench, folder / judge.reference, bench_items)
    return Verdict(client, bench, data, others)


def build_trees(
    context: RunContext, steps: tuple[Step, ...], pools: Mapping[str, Pool], runners: Mapping[Level, Runner]
) -> list[TreeRoot]:
    """The trees of unfinished steps, by the finished steps that they start from. `runners` are sandboxes by level."""
    clients = {name: pool.client() for name, pool in pools.items()}  # one each: a step is a lane of it
    methods = read_best_methods(context.store, steps)
    children: dict[str, list[Step]] = defaultdict(list)
    for step in steps:
        children[step.inputs[0].key].append(step)

    def make_node(step: Step) -> StepNode:
        below = tuple(make_node(child) for child in children[step.key])
        client = JournaledClient(clients[model_of(step)].queue(step.key), step.kind, step.key)
        if isinstance(step.params, CheckParams):
            node_operator: Operator = check_operator(context.store, step, client, runners[step.params.level])
        elif isinstance(step.params, VerdictParams):
            node_operator = verdict_operator(context.store, context.folder, step, client)
        else:
            node_operator = make_operator(step, client, context.study.seed, methods.get(step.key, ""))
        return StepNode(step.kind, step.key, node_operator, below, rows_per_input(step.params))

    pending = {step.key for step in steps}
    starts = {step.inputs[0].key: step.inputs[0] for step in steps if step.inputs[0].key not in pending}
    return [
        TreeRoot(start.kind, key, tuple(make_node(step) for step in children[key])) for key, start in starts.items()
    ]


def read_best_methods(store: Store, steps: Iterable[Step]) -> dict[str, str]:
    """The methods that finished optimizations found, by the keys of the steps that evolve with them."""
    found: dict[str, str] = {}
    for step in steps:
        for source in step.inputs:
            if isinstance(source.params, OptimizeParams):
                rows = from_table(MethodRow, store.rows(source.kind, source.key))
                (found[step.key],) = (row.method for row in rows if row.best)
    return found
