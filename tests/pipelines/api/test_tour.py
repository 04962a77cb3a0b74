"""The tour runs as it is, in a kernel with an event loop of its own; its outputs are not stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[3]
TOUR = ROOT / "examples/tour.ipynb"


def tour() -> Any:
    return nbformat.read(TOUR, as_version=4)


def text_of(cell: Any, kind: str) -> str:
    return "".join(output["data"].get(kind, "") for output in cell.outputs if "data" in output)


def test_no_outputs_are_stored() -> None:
    cells = [cell for cell in tour().cells if cell.cell_type == "code"]
    assert cells and not any(cell.outputs or cell.execution_count for cell in cells)


@pytest.mark.ray
def test_the_tour_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    client = NotebookClient(tour(), kernel_name="python3", timeout=240, resources={"metadata": {"path": str(tmp_path)}})
    cells = [cell for cell in client.execute().cells if cell.cell_type == "code"]
    plan, run = cells[1], cells[2]
    assert "respond world evolver r1" in text_of(plan, "text/html")
    assert "earlier lines" in text_of(run, "text/html") and "steps run, 0 reused" in text_of(run, "text/html")
    streams = [output for cell in cells[:-1] for output in cell.outputs if output.get("name") == "stdout"]
    assert [output.text for output in streams if "world" not in output.text] == []
    assert "study: tour" in cells[-1].outputs[0].text
