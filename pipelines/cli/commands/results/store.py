"""`evolgrid status`, `query`, `verify` and `gc`: commands that read or clean up a store."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cluster.plural import plural
from pipelines.cli.common.options import DEFAULT_STORE, EXIT_FAILED, SeedFile, StoreUrl, StudyFile, load_and_check
from pipelines.cli.common.registration import RESULTS, RUN, STORE, add_command

MAX_ROWS_PRINTED = 200
WIDE_TABLE_COLUMNS = 8
QUERIES = (
    'evolgrid query "select kind, count(*) steps, sum(rows_out) made, sum(rejected) lost from steps group by kind"',
    'evolgrid query "select study, student, teacher, round, value from results order by value desc"',
    'evolgrid query "select study, label, reason, rows from reasons join steps using (key) join members using (key)"',
    "evolgrid query \"select label, payload->>'$.sampling' from steps where kind = 'respond'\"",
    "evolgrid query --csv \"select * from respond where finish_reason = 'length'\" > cut.csv",
)


def status(
    study: StudyFile,
    store: StoreUrl = DEFAULT_STORE,
    seeds: SeedFile = None,
    stats: Annotated[
        bool, typer.Option("--stats", help="Also show Ray Data's statistics of the streams that ran the steps.")
    ] = False,
) -> None:
    """Show which driver runs a study, which steps are finished, how far the others are, and what was lost and why."""
    from pipelines.cli.views.claims import show_claims
    from pipelines.cli.views.status import show_status
    from pipelines.cli.views.streams import show_streams
    from pipelines.planning.plan import make_plan
    from pipelines.results.report.collect.search import collect_search
    from pipelines.results.report.publish import read_verdicts
    from pipelines.store.store import Store
    from pipelines.store.studies.finished_log import finished_while_running
    from pipelines.store.studies.stream_stats import load_streams

    loaded, target = load_and_check(study, seeds), Store(store)
    finished = finished_while_running(target, loaded.study.study)
    plan = make_plan(loaded.study, loaded.folder, target, finished=finished)
    search = collect_search(loaded.study, plan.grid, target)
    show_status(Console(), target, loaded.study.study, plan, loaded.study.budget, search)
    show_claims(Console(), loaded.study, read_verdicts(target, loaded.study.study))
    if stats:
        show_streams(Console(), load_streams(target, plan.grid.steps.keys()))


def query(
    sql: Annotated[str, typer.Argument(help="SQL statement (DuckDB).", show_default=False)],
    store: StoreUrl = DEFAULT_STORE,
    csv: Annotated[bool, typer.Option("--csv", help="Print all rows as CSV.")] = False,
) -> None:
    """Query the store with SQL: the results of all studies, their steps with row counts, and all rows.

    Tables: steps, reasons (why rows were lost), members (which study has
    which step), results (students' scores), sets (data sets' scores),
    claims (of study files, tested), retries, rejected, and one table of rows
    for each kind of step. 'describe steps' shows the columns of a table. If
    the answer is too wide for the terminal, it is printed row by row.
    """
    from pipelines.api.queries import querying
    from pipelines.store.store import Store

    with querying(Store(store), sql) as answer:
        columns, rows = answer.columns, answer.fetchall() if csv else answer.fetchmany(MAX_ROWS_PRINTED + 1)
    if csv:
        _print_csv(columns, rows)
        return
    _print_table(Console(), columns, rows[:MAX_ROWS_PRINTED])
    if len(rows) > MAX_ROWS_PRINTED:
        Console().print(f"Only the first {MAX_ROWS_PRINTED} rows are shown; --csv prints all.")


def verify(store: StoreUrl = DEFAULT_STORE) -> None:
    """Check every file of every finished step against the hash that was recorded when it was written."""
    from pipelines.store.maintenance.verify import verify as verified
    from pipelines.store.store import Store

    console, steps, size, broken = Console(), 0, 0, 0
    for found in verified(Store(store)):
        steps, size, broken = steps + 1, size + found.bytes, broken + bool(found.problems)
        for problem in found.problems:
            console.print(
                f"[red]{found.label}[/red] ({found.kind}/{found.key}): {problem}", soft_wrap=True, highlight=False
            )
    console.print(f"{plural(steps, 'step')}, {size / 2**20:,.1f} MiB: {broken or 'none'} corrupt", highlight=False)
    if broken:
        console.print("Delete the folder of each corrupt step, and run its study again.")
        raise typer.Exit(EXIT_FAILED)


def gc(
    store: StoreUrl = DEFAULT_STORE,
    yes: Annotated[bool, typer.Option("--yes", help="Delete the folders (default: only list them).")] = False,
) -> None:
    """Delete what no study needs: steps of changed or deleted studies, and stale files of finished steps.

    To delete a study, delete its folder in the store, studies/NAME.
    """
    from pipelines.store.maintenance.garbage import find_garbage, remove_garbage
    from pipelines.store.store import Store

    console, target = Console(), Store(store)
    found = list(find_garbage(target))
    for one in found:
        console.print(f"{one.path}: {one.reason}, {one.bytes / 2**20:.1f} MiB", soft_wrap=True, highlight=False)
        if yes:
            remove_garbage(target, one)
    summary = f"{len(found):,} folders, {sum(one.bytes for one in found) / 2**20:,.1f} MiB"
    console.print(f"Deleted: {summary}" if yes else f"Would delete: {summary}. Add --yes to do it.", highlight=False)


def _print_table(console: Console, columns: list[str], rows: list[tuple[object, ...]]) -> None:
    """Print a table, or row by row if the terminal is too narrow."""
    cells = [["" if value is None else escape(str(value)) for value in row] for row in rows]
    widths = (max(len(cell.split("\n")[0]) for cell in column) for column in zip(columns, *cells, strict=True))
    if sum(widths) + 3 * len(columns) + 1 <= console.width or len(columns) < WIDE_TABLE_COLUMNS:
        table = Table(*columns)
        for row in cells:
            table.add_row(*row)
        console.print(table)
        return
    for row in cells:
        grid = Table(*["", ""], box=None, show_header=False, title_justify="left")
        for name, cell in zip(columns, row, strict=True):
            grid.add_row(f"[bold]{name}[/bold]", cell)
        console.print(grid)
        console.rule()


def _print_csv(columns: list[str], rows: list[tuple[object, ...]]) -> None:
    import csv
    import sys

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)


def add_store_commands(app: typer.Typer) -> None:
    """Add the commands to the app."""
    add_command(app, status, RUN, "evolgrid status studies/quickstart.yaml")
    add_command(app, query, RESULTS, *QUERIES)
    add_command(app, verify, STORE, "evolgrid verify --store s3://bucket/folder")
    add_command(app, gc, STORE, "evolgrid gc", "evolgrid gc --yes")
