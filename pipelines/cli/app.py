"""The `evolgrid` command: `plan`, `run`, `report`, `predict`, `show`, `schema`, and the commands of other modules."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from pipelines.cli.cluster_commands import app as cluster_commands
from pipelines.cli.exit_codes import failure_message
from pipelines.cli.export_command import add_export_command
from pipelines.cli.job_commands import add_job_commands
from pipelines.cli.options import (
    DEFAULT_STORE,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_TERMINATED,
    LogFile,
    SeedFile,
    StoreUrl,
    StudyFile,
    load_and_check,
)
from pipelines.cli.plan_command import CloudName, ClusterFile, ProfileAddress, ProfileFlag
from pipelines.cli.plugin_commands import app as plugin_commands
from pipelines.cli.store_commands import add_store_commands
from pipelines.errors import InputError

app = typer.Typer(
    name="evolgrid",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Run instruction-tuning studies on Ray. One file describes a study: evolvers x teachers x students.",
    epilog="Start with: [bold]evolgrid plan studies/quickstart.yaml[/bold]",
)


@app.command(
    epilog="Example: [bold]evolgrid plan studies/quickstart.yaml --explain[/bold]\n\n"
    "Example: [bold]evolgrid plan study.yaml --store s3://bucket/folder --profile --address auto[/bold]"
)
def plan(
    study: StudyFile,
    store: StoreUrl = DEFAULT_STORE,
    seeds: SeedFile = None,
    explain: Annotated[bool, typer.Option("--explain", help="Explain why each step is not reused.")] = False,
    all_steps: Annotated[bool, typer.Option("--all", help="Print every step of a large study.")] = False,
    cpus: Annotated[
        int | None, typer.Option(min=1, help="Number of CPUs to plan for (default: this machine's).")
    ] = None,
    gpus: Annotated[
        int | None, typer.Option(min=0, help="Number of GPUs to plan for (default: this machine's).")
    ] = None,
    cluster: ClusterFile = None,
    cloud: CloudName = "aws",
    profile: ProfileFlag = False,
    address: ProfileAddress = None,
    probe: Annotated[
        bool, typer.Option("--probe", help="Ask the server of each http model once, and say what was found.")
    ] = False,
) -> None:
    """Print the steps of a study: which are finished, which will run in which phases, and their estimated cost."""
    from pipelines.cli.plan_command import load_cluster_and_prices, machine_types, profile_study
    from pipelines.cli.views.endpoints import show_endpoints
    from pipelines.cli.views.plan import PlanView, show_plan
    from pipelines.planning.plan import make_plan
    from pipelines.store.store import Store

    if address and not profile:
        raise InputError("--address has no effect without --profile", remedy="Add --profile, or omit --address.")
    loaded, target = load_and_check(study, seeds, local=profile and address is None), Store(store)
    if profile:
        profile_study(loaded, target, address)
    inventory, price_list = load_cluster_and_prices(cluster, cloud, cpus, gpus)
    step_plan = make_plan(loaded.study, loaded.folder, target, machine_types(loaded, inventory, price_list))
    view = PlanView(loaded, step_plan, target, inventory, price_list)
    show_plan(Console(), view, explain=explain, all_steps=all_steps)
    if probe and not show_endpoints(Console(), loaded):
        raise typer.Exit(EXIT_FAILED)


@app.command(epilog="Example: [bold]evolgrid run studies/quickstart.yaml[/bold]")
def run(
    study: StudyFile,
    store: StoreUrl = DEFAULT_STORE,
    seeds: SeedFile = None,
    address: Annotated[
        str | None,
        typer.Option(help="Ray cluster to connect to, as host:port or 'auto' (default: start a local one)."),
    ] = None,
    log: LogFile = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Ask the failed rows of finished steps again, and only those.")
    ] = False,
) -> None:
    """Run all steps of a study that are not in the store yet. If it is interrupted, run it again to continue."""
    from pipelines.cli.signals import Terminated, sigterm_as_interrupt
    from pipelines.cli.stderr import redirect_stderr
    from pipelines.cli.views.failed_rows import failed_rows_hint
    from pipelines.execution.runner import run as run_study
    from pipelines.execution.runtime.events import log_to
    from pipelines.store.store import Store

    console = Console()
    loaded, target = load_and_check(study, seeds, local=address is None), Store(store)
    try:
        with redirect_stderr(), sigterm_as_interrupt(), log_to(log, target, loaded.study.study):
            summary = run_study(loaded, target, address, console, retry_failed=retry_failed)
    except KeyboardInterrupt as why:
        message = "Interrupted. Finished work is kept: run the same command again to continue."
        _quit(message, EXIT_TERMINATED if isinstance(why, Terminated) else EXIT_INTERRUPTED)
    console.print(
        f"[bold]{summary.executed} steps run, {summary.reused} reused[/bold] in {summary.seconds:.0f} s"
        + (f" (planned: {summary.planned:.0f} s)" if summary.planned else ""),
        highlight=False,
    )
    console.print(f"Report: {summary.report}", soft_wrap=True, highlight=False)
    if summary.failed_rows:
        console.print(f"[yellow]{failed_rows_hint(summary.failed_rows)}[/yellow]", soft_wrap=True, highlight=False)
    if summary.failed_steps:
        labels = escape(", ".join(summary.failed_steps[:5]) + ("..." if len(summary.failed_steps) > 5 else ""))
        console.print(f"[red]All rows have failed[/red] in: {labels}", soft_wrap=True, highlight=False)
        raise typer.Exit(EXIT_FAILED)
    if summary.failures:
        console.print(f"[red]{len(summary.failures)} students could not be trained[/red] and are not in the report")
        raise typer.Exit(EXIT_FAILED)


@app.command(epilog="Example: [bold]evolgrid report studies/quickstart.yaml[/bold]")
def report(study: StudyFile, store: StoreUrl = DEFAULT_STORE, seeds: SeedFile = None) -> None:
    """Write the report again from all finished steps."""
    from pipelines.results.report.publish import publish
    from pipelines.store.store import Store
    from pipelines.study.graph.build import build

    loaded = load_and_check(study, seeds)
    page = publish(loaded.study, loaded.folder, build(loaded.study, loaded.folder), Store(store))
    Console().print(f"Report: {page}", soft_wrap=True, highlight=False)


@app.command(epilog="Example: [bold]evolgrid predict studies/quickstart.yaml[/bold]")
def predict(
    study: StudyFile,
    store: StoreUrl = DEFAULT_STORE,
    seeds: SeedFile = None,
    over: Annotated[
        Literal["teacher", "evolver", "round", "decoding", "all"] | None,
        typer.Option(
            help="Compare data sets that differ in this only; all: all sets of the same seeds (default: teacher if "
            "the study has at least 4, else all).",
        ),
    ] = None,
) -> None:
    """Show which metrics of a data set predict the performance of students trained on it (Spearman's rho)."""
    from pipelines.cli.views.predictions import show_predictions
    from pipelines.results.predict.study import (
        compare_teacher_sizes,
        predict_from_metrics,
        teachers_without_family,
    )
    from pipelines.store.store import Store
    from pipelines.study.graph.build import build

    loaded, target = load_and_check(study, seeds), Store(store)
    grid = build(loaded.study, loaded.folder)
    where = (loaded.study, loaded.folder, grid, target)
    found = predict_from_metrics(*where, over)
    show_predictions(Console(), found, compare_teacher_sizes(*where), teachers_without_family(*where[:2]))


@app.command(epilog="Example: [bold]evolgrid show studies/quickstart.yaml --row 3f2a91[/bold]")
def show(
    study: StudyFile,
    store: StoreUrl = DEFAULT_STORE,
    seeds: SeedFile = None,
    row: Annotated[
        str | None, typer.Option(help="Id of a row, or its first digits (default: list some ids to start from).")
    ] = None,
) -> None:
    """Trace a row back to its seed: the prompt, model and reply of every round."""
    from pipelines.cli.views.row import show_chain, show_samples
    from pipelines.results.lineage import Lineage
    from pipelines.store.store import Store
    from pipelines.study.graph.build import build

    loaded = load_and_check(study, seeds)
    lineage = Lineage(Store(store), build(loaded.study, loaded.folder))
    if row is None:
        show_samples(Console(), lineage)
    else:
        show_chain(Console(), lineage.chain(row), loaded.study.seed)


@app.command(epilog="Example: [bold]evolgrid schema > study.schema.json[/bold]")
def schema(
    study: Annotated[
        Path | None, typer.Argument(help="Study file, for the names that its plug-ins add.", show_default=False)
    ] = None,
    version: Annotated[int, typer.Option(help="Version of the study file's format.")] = 1,
) -> None:
    """Print the JSON Schema of study files, which editors use for completion and validation."""
    from pipelines.study.file.json_schema import schema as study_schema
    from pipelines.study.file.load import load_plugins_of
    from pipelines.study.file.versions import VERSION

    if version != VERSION:
        raise InputError(f"there is no version {version} of the format", remedy=f"This evolgrid has version {VERSION}.")
    if study is not None:
        load_plugins_of(study)
    typer.echo(json.dumps(study_schema(), indent=2))


add_store_commands(app)
add_job_commands(app)
app.add_typer(cluster_commands, name="cluster")
app.add_typer(plugin_commands, name="plugin")
add_export_command(app)


def main() -> None:
    """Run the command line. Errors are printed as one message, without a traceback."""
    # after an interrupt, threads that still call Ray must get an error instead of starting a new local Ray
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
    try:
        app()
    except Exception as error:
        _quit(*failure_message(error))


def _quit(message: str, code: int) -> NoReturn:
    Console(stderr=True).print(message, style="red", markup=False, highlight=False, soft_wrap=True)
    sys.stdout.flush()
    # threads that still wait for Ray must not keep the process running
    os._exit(code)


if __name__ == "__main__":
    main()
