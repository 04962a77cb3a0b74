"""Writes a study's report to the store, and reads back what it says of claims."""

from __future__ import annotations

import csv
import io
import posixpath
import tempfile
from pathlib import Path
from typing import Any, get_type_hints

from pipelines.results.report import write
from pipelines.results.report.collect.collect import collect_report
from pipelines.results.report.csv_files import CLAIMS_FILE
from pipelines.results.report.data.verdicts import ClaimVerdict
from pipelines.results.report.graph import save_study_graph
from pipelines.store.store import Store
from pipelines.store.studies.run_record import study_folder
from pipelines.study.graph.steps.grid import Grid
from pipelines.study.spec.study import Study


def report_path(store: Store, study: str) -> str:
    """Return the path of a study's report page in the store."""
    return posixpath.join(study_folder(store, study), "report", "index.html")


def read_verdicts(store: Store, study: str) -> list[ClaimVerdict]:
    """Return what the last report of a study says of its claims; empty without claims or a report."""
    path = posixpath.join(posixpath.dirname(report_path(store, study)), CLAIMS_FILE)
    if not store.fs.exists(path):
        return []
    hints = get_type_hints(ClaimVerdict)
    rows = csv.DictReader(io.StringIO(store.read_bytes(path).decode(), newline=""))
    return [ClaimVerdict(**{name: _parsed(text, hints[name]) for name, text in row.items()}) for row in rows]


def _parsed(text: str, kind: Any) -> Any:
    if kind is int:
        return int(text)
    if kind == float | None:
        return float(text) if text else None
    return text


def fetch_report(study: Study, folder: Path, grid: Grid, store: Store, target: Path) -> None:
    """Copy a study's report from the store to a local folder; write it there if the store has none."""
    path = report_path(store, study.study)
    if store.fs.exists(path):
        store.fs.get(f"{posixpath.dirname(path)}/", f"{target}/", recursive=True)
    else:
        write(collect_report(study, folder, grid, store), target)


def publish(study: Study, folder: Path, grid: Grid, store: Store) -> str:
    """Write the report of a study's finished steps, all or a part of them, to the store; return the page's path."""
    save_study_graph(store, study, folder, grid)
    data = collect_report(study, folder, grid, store)
    target = posixpath.dirname(report_path(store, study.study))
    with tempfile.TemporaryDirectory(prefix="evolgrid-report-") as staging:
        write(data, Path(staging))
        for path in sorted(Path(staging).iterdir()):
            store.write_bytes(posixpath.join(target, path.name), path.read_bytes())
    return report_path(store, study.study)
