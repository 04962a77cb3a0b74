"""Builds the step trees of a stream with their operators, including those that look up rows in the store."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

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
from pipelines.operators.registry import OperatorInputs, make_operator
from pipelines.rows.arrow import from_table
from pipelines.rows.operator import Operator
from pipelines.rows.types import AnswerRow, MethodRow, PairedRow, ResponseRow
from pipelines.store.journaled_client import JournaledClient
from pipelines.store.partitions import partition_of
from pipelines.store.shards import read_partition_rows
from pipelines.store.store import Store
from pipelines.study.graph.steps.params.answers import CheckParams
from pipelines.study.graph.steps.params.instructions import OptimizeParams
from pipelines.study.graph.steps.params.students import VerdictParams
from pipelines.study.graph.steps.step import Step, StepParams


@dataclass(frozen=True)
class PairLookup:
    """Looks up rows of a finished pair step, which are read when needed."""

    store: Store
    key: str

    def __call__(self, answer: ResponseRow) -> PairedRow:
        """Return the row that `answer` answers."""
        return _read_partition(self.store.url, self.key, partition_of(answer.index))[answer.parent_id]


@lru_cache(maxsize=16)
def _read_partition(url: str, key: str, partition: int) -> dict[str, PairedRow]:
    return {
        row.id: row for row in read_partition_rows(Store(url), "pair", key, partition) if isinstance(row, PairedRow)
    }


@dataclass(frozen=True, kw_only=True)
class StreamInputs(OperatorInputs):
    """Inputs of a stream operator.

    `folder` is that of the study file. `runner` is a sandbox of the step's level, or None if the step runs no code.
    """

    store: Store
    folder: Path
    runner: Runner | None


def make_stream_operator(inputs: StreamInputs) -> Operator[Any, Any]:
    """Return the operator of a row-wise step. The steps whose rows it looks up must be finished."""
    params = inputs.step.params
    make = STREAM_OPERATORS.get(type(params))
    return make(params, inputs) if make else make_operator(inputs)


def _check(params: CheckParams, inputs: StreamInputs) -> CheckResponses:
    assert inputs.runner is not None
    (answers,), rules = inputs.step.inputs, THRESHOLDS[params.rules]
    sampler = RepeatedSampler(inputs.client, params.sampling.sampling, params.seed)
    score = ResponseScorer(sampler, rules, params.judgements, inputs.step.catalog)
    return CheckResponses(inputs.runner, score, rules, PairLookup(inputs.store, answers.inputs[0].key))


def _verdict(params: VerdictParams, inputs: StreamInputs) -> Verdict:
    bench, judge = params.benchmark, params.benchmark.judge
    assert judge is not None
    store, folder, step = inputs.store, inputs.folder, inputs.step
    bench_items = load_items(bench, folder, 0)
    data = {item.id: item.data for item in bench_items}
    others: Mapping[str, tuple[str, ...]] = {}
    if len(step.inputs) > 1:
        source = step.inputs[1]
        rows = from_table(AnswerRow, store.rows(source.kind, source.key))
        others = {row.item: tuple(row.answers) for row in rows}
    elif isinstance(judge.reference, str):
        others = read_references(bench, folder / judge.reference, bench_items)
    return Verdict(inputs.client, bench, data, others)


STREAM_OPERATORS: dict[type[StepParams], Callable[[Any, StreamInputs], Operator[Any, Any]]] = {
    CheckParams: _check,
    VerdictParams: _verdict,
}
"""Operators that read the store or the study's folder, or run code. The others are in `OPERATORS`."""


def build_trees(
    context: RunContext, steps: tuple[Step, ...], pools: Mapping[str, Pool], runners: Mapping[Level, Runner]
) -> list[TreeRoot]:
    """Return the trees of unfinished steps, one for each finished step that they start from.

    `runners` are sandboxes by level.
    """
    clients = {name: pool.client() for name, pool in pools.items()}  # one per model; each step has a queue in it
    methods = read_best_methods(context.store, steps)
    children: dict[str, list[Step]] = defaultdict(list)
    for step in steps:
        children[step.inputs[0].key].append(step)

    def make_node(step: Step) -> StepNode:
        below = tuple(make_node(child) for child in children[step.key])
        client = JournaledClient(clients[step.params.model].queue(step.key), step.kind, step.key)
        level = step.params.sandbox_level
        inputs = StreamInputs(
            step,
            client,
            context.study.seed,
            methods.get(step.key, ""),
            store=context.store,
            folder=context.folder,
            runner=runners[level] if level else None,
        )
        return StepNode(step.kind, step.key, make_stream_operator(inputs), below, step.params.rows_per_input)

    pending = {step.key for step in steps}
    starts = {step.inputs[0].key: step.inputs[0] for step in steps if step.inputs[0].key not in pending}
    return [
        TreeRoot(start.kind, key, tuple(make_node(step) for step in children[key]), context.probed_seeds)
        for key, start in starts.items()
    ]


def read_best_methods(store: Store, steps: Iterable[Step]) -> dict[str, str]:
    """Return the best methods of finished optimizations, by the keys of the steps that evolve with them."""
    found: dict[str, str] = {}
    for step in steps:
        for source in step.inputs:
            if isinstance(source.params, OptimizeParams):
                rows = from_table(MethodRow, store.rows(source.kind, source.key))
                (found[step.key],) = (row.method for row in rows if row.best)
    return found
