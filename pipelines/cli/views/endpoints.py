"""What `evolgrid plan --probe` shows: each server of the study is asked once."""

from __future__ import annotations

from dataclasses import replace

from rich.console import Console

from actors.engines.registry import probe_server
from pipelines.study.file.load import LoadedStudy
from pipelines.study.inputs.endpoints import server_needs
from pipelines.study.inputs.models import engine_spec
from pipelines.study.roles import roles


def show_endpoints(console: Console, loaded: LoadedStudy) -> bool:
    """Print one line for each model behind a server; return whether all of them answered."""
    used = {role.model for role in roles(loaded.study)}
    sound = True
    for name, model in loaded.study.models.items():
        if name not in used:
            continue
        spec = replace(engine_spec(model, loaded.folder), needs=server_needs(loaded.study, name))
        try:
            if found := probe_server(spec):
                console.print(f"{name}: {found}", highlight=False, markup=False, soft_wrap=True)
        except (ConnectionError, ValueError) as error:
            sound = False
            console.print(f"{name}: {error}", style="red", highlight=False, markup=False, soft_wrap=True)
    return sound
