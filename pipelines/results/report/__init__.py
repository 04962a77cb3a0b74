"""The report of a study: one self-contained page, the same as Markdown, and the numbers as CSV."""

from __future__ import annotations

from pathlib import Path

from pipelines.results.report.data.report import ReportData


def write(data: ReportData, folder: Path) -> Path:
    """Write the report into `folder` (made if missing, files of the same name replaced); returns `index.html`."""
    # matplotlib is slow to import, and everything that only reads `data` would pay for it
    from pipelines.results.report.page import report_files

    folder.mkdir(parents=True, exist_ok=True)
    for name, content in report_files(data).items():
        (folder / name).write_text(content, encoding="utf-8", newline="")
    return folder / "index.html"
