"""Prints the status of a study: its driver, finished steps, progress of the others, lost rows with reasons, retries."""

from __future__ import annotations

import contextlib
import posixpath
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import nsmallest

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from cluster.plural import plural
from pipelines.api.views.failed_rows import failed_rows_hint
from pipelines.cli.views.search import show_search
from pipelines.planning.plan import Plan
from pipelines.results.report.data.search import SearchSummary
from pipelines.store.atomic_files import list_in_folders
from pipelines.store.lease import is_dead, read_lease
from pipelines.store.partitions import find_partitions
from pipelines.store.probes import load_probe
from pipelines.store.store import Store
from pipelines.store.studies.finished_log import FinishedStep, finished_steps
from pipelines.store.studies.retry_log import Retry, load_retries
from pipelines.store.studies.spending_log import Spending, load_spending
from pipelines.study.graph.steps.params.table import STEP_PARAMS
from pipelines.study.graph.steps.step import Step
from pipelines.study.spec.study import Budget

MAX_REASONS_SHOWN = 20
MAX_STEPS_SHOWN = 5  # in the table of deviations from the plan
BLOCK_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class PartialStep:
    """An unfinished step: the number of its durable rows (with rejections), and of journaled answers.

    `probed` is the number of the first seeds of which it has all rows, if a probe has made them.
    """

    step: Step
    rows: int
    answers: int
    probed: int | None = None


def show_status(
    console: Console,
    store: Store,
    study: str,
    plan: Plan,
    budget: Budget | None = None,
    search: SearchSummary | None = None,
) -> None:
    """Print the status of a planned study with this budget and this search."""
    state = _driver_status(store, study, plan, search is not None and search.finished)
    console.print(f"[bold]{study}[/bold]: {state}", highlight=False, soft_wrap=True)
    finished = finished_steps(store, study, {step.key: step.kind for step in _finished_steps(plan)})
    accounts = {key: one.account for key, one in finished.items()}
    console.print(_steps_table(plan, finished))
    if finished:
        console.print(_largest_deviations(plan, finished))
    reasons = Counter[str]()
    for account in accounts.values():
        reasons.update(account.reasons)
    if reasons:
        reason_list = ", ".join(f"{reason} {count:,}" for reason, count in reasons.most_common(MAX_REASONS_SHOWN))
        console.print(f"Rejected or failed: {reason_list}", highlight=False, soft_wrap=True)
    if failed := sum(account.failed for account in accounts.values()):
        console.print(failed_rows_hint(failed), highlight=False, soft_wrap=True)
    _show_retries(console, load_retries(store, study))
    _show_spending(console, load_spending(store, study), budget)
    if search:
        show_search(console, search)
    for partial in partial_steps(store, plan.pending):
        console.print(_describe_partial(partial, plan), highlight=False, soft_wrap=True)


def _describe_partial(partial: PartialStep, plan: Plan) -> str:
    rows, answers = plural(partial.rows, "row"), plural(partial.answers, "answer")
    if partial.probed is None:
        return f"partly done: {partial.step.label}, {rows} and {answers} saved"
    seeds = partial.step
    while seeds.inputs:
        seeds = seeds.inputs[0]
    known = plan.seed_sets.get(seeds.key)
    total = f" of {known.rows:,.0f}" if known else ""
    return f"probed: {partial.step.label}, {partial.probed:,}{total} seeds, {rows} saved"


def _show_spending(console: Console, spent: Spending, budget: Budget | None) -> None:
    if not spent.models:
        return
    amounts = f"{spent.tokens:,} tokens, {spent.dollars:,.2f} dollars, {spent.gpu_hours:,.2f} GPU-hours"
    limits = ", ".join(f"{limit:,} {name.replace('_', '-')}" for name, limit in budget or () if limit is not None)
    console.print(f"Spent: {amounts}" + (f" (budget: {limits})" if limits else ""), highlight=False, soft_wrap=True)


def _show_retries(console: Console, retries: list[Retry]) -> None:
    if not retries:
        console.print("Retries: none in the last run", highlight=False)
        return
    table = Table("level", "of", title="Retries in the last run", title_justify="left")
    table.add_column("used", justify="right")
    table.add_column("allowed")
    for retry in retries:
        table.add_row(retry.level, retry.of, f"{retry.spent:,}", retry.allowed)
    console.print(table)


def partial_steps(store: Store, pending: Sequence[Step]) -> list[PartialStep]:
    """Return the unfinished steps that have partition outputs or journals in the store."""
    folders = list_in_folders(store.fs, posixpath.join(store.root, "steps"), 2, "parts") if pending else []
    keys = {posixpath.basename(posixpath.dirname(folder)) for folder in folders}
    return [found for step in pending if step.key in keys and (found := _partial_step(store, step))]


def _partial_step(store: Store, step: Step) -> PartialStep | None:
    from pipelines.store.journal import find_journals  # imports Ray, which is slow

    parts = find_partitions(store, step.kind, step.key).values()
    journals = [path for paths in find_journals(store, step.kind, step.key).values() for path in paths]
    if not parts and not journals:
        return None
    rows = sum(_row_count(store, path) for part in parts for path in (part.rows, part.rejected) if path)
    probe = load_probe(store, step.kind, step.key)
    answers = sum(_line_count(store, path) for path in journals)
    return PartialStep(step, rows, answers, probe.seeds if probe else None)


def _row_count(store: Store, path: str) -> int:
    """Return the number of rows in a partition's file, or 0 if it was deleted meanwhile or cannot be read."""
    try:
        with store.fs.open(path, "rb") as file:
            return pq.read_metadata(file).num_rows
    except (pa.ArrowException, OSError):
        return 0


def _line_count(store: Store, path: str) -> int:
    with contextlib.suppress(FileNotFoundError), store.fs.open(path, "rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(BLOCK_BYTES), b""))
    return 0


def _finished_steps(plan: Plan) -> list[Step]:
    return [step for key, step in plan.grid.steps.items() if key in plan.done]


def _driver_status(store: Store, study: str, plan: Plan, searched: bool) -> str:
    lease = read_lease(store, study)
    if lease and is_dead(lease):
        return f"interrupted (the driver, {lease.description}, has exited); run the study again to continue"
    if lease:
        return f"being run by {lease.description}"
    if searched:
        return f"not running, its search has stopped; {plural(len(plan.pending), 'step')} skipped"
    return "not running, " + ("finished" if not plan.pending else f"{plural(len(plan.pending), 'step')} still to run")


def _steps_table(plan: Plan, found: Mapping[str, FinishedStep]) -> Table:
    table = Table("kind", caption=f"Planned from {plan.basis}.")
    for name in ("steps", "done", "rows", "rejected", "failed", "took", "planned", "remaining"):
        table.add_column(name, justify="right")
    by_kind = defaultdict[str, list[Step]](list)
    for step in plan.grid.steps.values():
        by_kind[step.kind].append(step)
    for kind in STEP_PARAMS:
        steps = by_kind[kind]
        done = [found[step.key] for step in steps if step.key in found]
        if steps:
            sums = (sum(getattr(one.account, name) for one in done) for name in ("rows_out", "rejected", "failed"))
            counts = (f"{number:,}" for number in sums)
            took = f"{sum(one.seconds for one in done):,.0f} s"
            finished, pending = ([s for s in steps if (s.key in found) == done] for done in (True, False))
            times = (took, plan.planned_time(finished), plan.planned_time(pending))
            table.add_row(kind, str(len(steps)), str(len(done)), *counts, *times)
    return table


def _largest_deviations(plan: Plan, found: Mapping[str, FinishedStep]) -> Table:
    """Return a table of the finished steps whose time differs most from the plan."""
    table = Table("finished step", title="Largest deviations from the plan", title_justify="left")
    for name in ("took", "planned"):
        table.add_column(name, justify="right")
    known = (key for key in found if key not in plan.unknown_steps)
    for key in nsmallest(MAX_STEPS_SHOWN, known, key=lambda key: -abs(found[key].seconds - plan.seconds[key])):
        step = plan.grid.steps[key]
        table.add_row(step.label, f"{found[key].seconds:,.1f} s", f"{plan.seconds[key]:,.1f} s")
    return table
