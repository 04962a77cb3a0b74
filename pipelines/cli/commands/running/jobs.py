"""`evolgrid submit`, `jobs`, `logs`, `stop` and `watch`: studies that run as jobs of a Ray cluster."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from cluster.errors import ClusterError
from pipelines.cli.common.options import (
    DEFAULT_STORE,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    SeedFile,
    StoreUrl,
    StudyFile,
    load_and_check,
)
from pipelines.cli.common.registration import JOBS, add_command

if TYPE_CHECKING:
    from cluster.connection.jobs import Jobs, StudyJob

JOB_POLL_SECONDS = 2.0
TAIL_LINES = 12
Server = Annotated[
    str,
    typer.Option("--address", envvar="RAY_API_SERVER_ADDRESS", help="URL of the cluster's job server (its dashboard)."),
]
JobName = Annotated[
    str, typer.Argument(help="Id of a job, or name of a study (selects its newest job).", show_default=False)
]
LOCAL_JOB_SERVER = "http://127.0.0.1:8265"


def submit(
    study: StudyFile,
    store: StoreUrl = DEFAULT_STORE,
    seeds: SeedFile = None,
    address: Server = LOCAL_JOB_SERVER,
    detach: Annotated[
        bool, typer.Option("--detach", help="Return once the job is submitted, without streaming its output.")
    ] = False,
) -> None:
    """Submit a study to a cluster and stream its output.

    The job keeps running if this command is interrupted.
    """
    from cluster.connection.jobs import Jobs
    from pipelines.execution.submission import submit as submit_study

    loaded, jobs, console = load_and_check(study, seeds), Jobs(address), Console()
    with tempfile.TemporaryDirectory() as folder:
        id = submit_study(jobs, loaded, store, Path(folder), seeds)
    console.print(
        f"Submitted as {id}. From any machine: evolgrid watch|logs|stop {id}", highlight=False, soft_wrap=True
    )
    if not detach:
        _follow(jobs, id, console)


def jobs(address: Server = LOCAL_JOB_SERVER) -> None:
    """List the studies that were submitted to a cluster."""
    from rich.table import Table

    from cluster.connection.jobs import Jobs

    table = Table("job", "study", "status", "started", "took")
    for job in Jobs(address).all():
        started = time.strftime("%Y-%m-%d %H:%M", time.localtime(job.started)) if job.started else ""
        table.add_row(job.id, job.study, job.status.lower(), started, _duration(job))
    Console().print(table)


def logs(
    job: JobName,
    address: Server = LOCAL_JOB_SERVER,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Stream output until the job finishes.")] = False,
) -> None:
    """Print the output of a job."""
    from cluster.connection.jobs import Jobs

    server = Jobs(address)
    found = server.find(job)
    if follow:
        _follow(server, found.id, Console())
    else:
        typer.echo(server.logs(found), nl=False)


def stop(job: JobName, address: Server = LOCAL_JOB_SERVER) -> None:
    """Stop a job. To continue its study later, submit the study again."""
    from cluster.connection.jobs import Jobs

    server = Jobs(address)
    found = server.find(job)
    if found.is_finished:
        Console().print(f"{found.id} has already finished: {found.status.lower()}", highlight=False)
        return
    server.stop(found)
    Console().print(f"stop requested for {found.id}", highlight=False)


def watch(job: JobName, address: Server = LOCAL_JOB_SERVER) -> None:
    """Show the status of a job and the last lines of its output, until the job finishes."""
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    from cluster.connection.jobs import Jobs

    server = Jobs(address)
    found = server.find(job)
    with _hint_on_disconnect(server, found.id), Live(console=Console(), auto_refresh=False) as live:
        while True:
            found = server.find(found.id)
            lines = server.logs(found).splitlines()[-TAIL_LINES:]
            live.update(Group(Text(_status_line(found), style="bold"), *map(Text, lines)), refresh=True)
            if found.is_finished:
                break
            time.sleep(JOB_POLL_SECONDS)
    _exit_with_status(found)


def _follow(server: Jobs, id: str, console: Console) -> None:
    """Print a job's output until the job finishes. Then exit with its status."""

    async def tail() -> None:
        async for text in server.tail_logs(id):
            typer.echo(text, nl=False)

    with _hint_on_disconnect(server, id):
        try:
            asyncio.run(tail())
        except KeyboardInterrupt:
            console.print(f"{id} is still running; reattach with: {_resume_hint(server, id)}", highlight=False)
            raise typer.Exit(EXIT_INTERRUPTED) from None
        while not (job := server.find(id)).is_finished:  # the output ends before the status changes
            time.sleep(JOB_POLL_SECONDS / 4)
    console.print(_status_line(job), highlight=False, soft_wrap=True)
    _exit_with_status(job)


@contextmanager
def _hint_on_disconnect(server: Jobs, id: str) -> Generator[None]:
    """Add to the error how to reattach to the job, if this machine loses its connection to the job server."""
    from cluster.connection.jobs import JobServerUnreachable

    try:
        yield
    except JobServerUnreachable as error:
        hint = f"{id} is still running on the cluster. Reattach with: {_resume_hint(server, id)}"
        raise ClusterError(f"{error}\n{hint}") from error


def _resume_hint(server: Jobs, id: str) -> str:
    return f"evolgrid watch {id}" + (f" --address {server.address}" if server.address != LOCAL_JOB_SERVER else "")


def _status_line(job: StudyJob) -> str:
    return f"{job.id}: {job.status.lower()}, {_duration(job)}" + (f" ({job.message})" if job.status == "FAILED" else "")


def _duration(job: StudyJob) -> str:
    if job.started is None:
        return "not started"
    return f"{(job.ended or time.time()) - job.started:.0f} s"


def _exit_with_status(job: StudyJob) -> None:
    if job.status != "SUCCEEDED":
        raise typer.Exit(EXIT_FAILED)


def add_job_commands(app: typer.Typer) -> None:
    """Add the commands to the app."""
    for command, example in (
        (submit, "evolgrid submit studies/quickstart.yaml --store s3://bucket/folder"),
        (jobs, "evolgrid jobs"),
        (logs, "evolgrid logs quickstart --follow"),
        (stop, "evolgrid stop quickstart"),
        (watch, "evolgrid watch quickstart"),
    ):
        add_command(app, command, JOBS, example)
