"""What a stream leaves of a probe: steps that are complete for the first seeds, and unfinished."""

from __future__ import annotations

from collections.abc import Sequence

from cluster.plural import plural
from pipelines.execution.runtime.context import RunContext
from pipelines.execution.stream.commits.common_failures import CommonFailures
from pipelines.store.probes import Probe, first_rows, probed_account, save_probe
from pipelines.store.store import Store
from pipelines.study.graph.steps.step import Step


def probed_steps(context: RunContext, steps: Sequence[Step]) -> tuple[Step, ...]:
    """Return the steps of a stream of which the context's probe has left out rows; none without a probe."""
    if context.probed_seeds is None:
        return ()
    probed: dict[str, bool] = {}
    for step in steps:
        source = step.inputs[0]
        if source.key not in probed:
            probed[source.key] = _has_later_rows(context.store, source, context.probed_seeds)
        probed[step.key] = probed[source.key]
    return tuple(step for step in steps if probed[step.key])


def _has_later_rows(store: Store, source: Step, seeds: int) -> bool:
    tables = store.tables(source.kind, source.key, columns=["index"])
    return any((table["index"].to_numpy() >= seeds).any() for table in tables)


def save_probes(context: RunContext, steps: Sequence[Step]) -> None:
    """Save that these steps of a stream are complete for the context's first seeds.

    Raises:
        StepFailed: Most rows of a step have failed alike. It and the steps made from it have no probe then.
        CorruptStore: Rows are missing or duplicated.
    """
    store, seeds, failures = context.store, context.probed_seeds or 0, CommonFailures(context.store)
    for step in steps:
        source = step.inputs[0]
        rows_in = first_rows(store, source.kind, source.key, seeds, ["index"]).num_rows
        account = probed_account(store, step.kind, step.key, seeds, rows_in * step.params.rows_per_input)
        if failures.has(step, account):
            continue
        account.check(step.label)
        save_probe(store, step.kind, step.key, Probe(seeds=seeds, account=account))
        context.progress.finish(
            step.key, f"probed {step.label}: {plural(account.rows_out, 'row')} of the first {plural(seeds, 'seed')}"
        )
    failures.raise_first()
