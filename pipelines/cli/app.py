"""The `evolgrid` command: all its commands, each of which is in a module of `commands`."""

from __future__ import annotations

import os
from importlib.metadata import version
from typing import Annotated

import typer

from pipelines.cli.commands.results.export import add_export_command
from pipelines.cli.commands.results.predict import add_predict_command
from pipelines.cli.commands.results.push import add_push_command
from pipelines.cli.commands.results.report import add_report_command
from pipelines.cli.commands.results.show import add_show_command
from pipelines.cli.commands.results.store import add_store_commands
from pipelines.cli.commands.results.ui import add_ui_command
from pipelines.cli.commands.running.cluster import app as cluster_commands
from pipelines.cli.commands.running.jobs import add_job_commands
from pipelines.cli.commands.running.plan import add_plan_command
from pipelines.cli.commands.running.preview import add_preview_command
from pipelines.cli.commands.running.reproduce import add_reproduce_command
from pipelines.cli.commands.running.run import add_run_command
from pipelines.cli.commands.study.init import add_init_command
from pipelines.cli.commands.study.lock import add_lock_command
from pipelines.cli.commands.study.plugin import app as plugin_commands
from pipelines.cli.commands.study.schema import add_schema_command
from pipelines.cli.commands.study.validate import add_validate_command
from pipelines.cli.common.exit_codes import message_and_code
from pipelines.cli.common.quitting import quit_with
from pipelines.cli.common.registration import JOBS, STUDY

app = typer.Typer(
    name="evolgrid",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    epilog="Start with: [bold]evolgrid init[/bold]",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"evolgrid {version('evolgrid')}")
        raise typer.Exit


@app.callback()
def evolgrid(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Run instruction-tuning studies on Ray. One file describes a study: evolvers x teachers x students."""


# the help lists the commands in this order
add_init_command(app)
add_validate_command(app)
add_lock_command(app)
add_schema_command(app)
app.add_typer(plugin_commands, name="plugin", rich_help_panel=STUDY)
add_plan_command(app)
add_preview_command(app)
add_run_command(app)
add_reproduce_command(app)
add_report_command(app)
add_predict_command(app)
add_show_command(app)
add_export_command(app)
add_push_command(app)
add_ui_command(app)
add_store_commands(app)
add_job_commands(app)
app.add_typer(cluster_commands, name="cluster", rich_help_panel=JOBS)


def main() -> None:
    """Run the command line. Errors are printed as one message, without a traceback."""
    # after an interrupt, threads that still call Ray must get an error instead of starting a new local Ray
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
    try:
        app()
    except Exception as error:
        quit_with(*message_and_code(error))


if __name__ == "__main__":
    main()
