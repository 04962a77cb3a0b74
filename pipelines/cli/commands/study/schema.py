"""`evolgrid schema`: prints the JSON Schema of study files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.common.registration import STUDY, add_command
from pipelines.errors import InputError


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


def add_schema_command(app: typer.Typer) -> None:
    """Add the command to the app."""
    add_command(app, schema, STUDY, "evolgrid schema > study.schema.json")
