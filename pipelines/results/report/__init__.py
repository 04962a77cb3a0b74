"""The report of a study: a self-contained HTML page, the same content as Markdown, and the numbers as CSV."""

from __future__ import annotations

from pathlib import Path

from pipelines.results.report.data.report import ReportData


def write(data: ReportData, folder: Path) -> Path:
    """Write the report to `folder` (created if missing; existing files are replaced) and return its `index.html`."""
    # matplotlib is slow to import, and code that only uses `data` does not need it
    from pipelines.results.report.page import report_files

    folder.mkdir(parents=True, exist_ok=True)
    for name, content in report_files(data).items():
        (folder / name).write_text(content, encoding="utf-8", newline="")
    return folder / "index.html"
