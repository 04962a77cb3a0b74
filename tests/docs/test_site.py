"""The documentation is built as a site, without a warning, with all links, and without requests to elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("material", reason="the site needs the extra 'docs'")
    pytest.importorskip("mkdocstrings", reason="the site needs the extra 'docs'")
    folder = tmp_path_factory.mktemp("site")
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert "not included in the nav" not in done.stderr
    return folder


def test_every_page_is_built(site: Path) -> None:
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")} - {"README"}
    assert pages <= {path.stem for path in site.glob("*.html")}


def test_no_page_asks_another_server_for_anything(site: Path) -> None:
    asked = re.compile(r"<(?:script|img|iframe|source|link)\b[^>]*\b(?:src|href)=[\"'](?:https?:)?//")
    found = {path.name for path in site.rglob("*.html") if asked.search(path.read_text())}
    assert not found


def test_the_references_name_every_key_every_command_and_every_public_name(site: Path) -> None:
    import evolgrid
    from pipelines.study.file.json_schema import schema

    study, commands, python = (
        (site / "reference" / f"{name}.html").read_text() for name in ("study", "commands", "python")
    )
    keys = {key for node in (schema(), *schema()["$defs"].values()) for key in node.get("properties", ())}
    assert not [key for key in keys if f"<code>{key}</code>" not in study]
    for name in ("run", "plan", "push", "cluster render"):
        assert f"evolgrid {name}" in commands
    assert not [name for name in evolgrid.__all__ if f"evolgrid.{name}" not in python and not name.startswith("_")]
