"""An unexpected error of an engine ends a run with one line; its traceback is in the file that the line names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.support.command_line import evolgrid

pytestmark = [pytest.mark.usefixtures("ray_local"), pytest.mark.timeout(600)]


@pytest.mark.parametrize(
    ("role", "options", "expected"),
    [
        ("small", {"broken": " "}, r"Unexpected error: respond step \w+, row \w+, model small, request .*: ValueError"),
        ("scorer", {"broken": " "}, r"Unexpected error: score step \w+, row \w+, model scorer, request .*: ValueError"),
        ("small", {"fail_load": True}, r"model small cannot be loaded: RuntimeError: the load is scripted to fail"),
    ],
)
def test_an_engine_that_raises_is_one_line(
    role: str, options: dict[str, object], expected: str, tmp_path: Path
) -> None:
    models: dict[str, dict[str, object]] = {
        name: {"engine": "scripted", "source": name, "cpus": 0.1} for name in ("evolver", "small", "scorer")
    }
    models[role]["options"] = options
    study = {
        "study": "broken",
        "seeds": [{"name": "world", "world": {"count": 3}}],
        "models": models,
        "evolution": {"evolvers": ["evolver"], "rounds": 1},
        "responses": {"teachers": ["small"]},
        "scoring": {"scorer": "scorer"},
    }
    YAML().dump(study, tmp_path / "broken.yaml")
    told = evolgrid("run", tmp_path / "broken.yaml", "--store", tmp_path / "store")
    assert told.returncode == 1
    (line,) = told.stderr.strip().splitlines()
    assert re.match(expected, line) and len(line) < 700
    found = re.search(r"\(details: (.*)\)$", line)
    assert found and "Traceback" not in told.stdout
    assert "_remaining_tokens" in Path(found[1]).read_text() or "_simulate_load" in Path(found[1]).read_text()
