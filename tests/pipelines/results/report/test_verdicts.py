"""What a report says of claims is kept beside it, for the terminal and for queries."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from pipelines.cli.views.claims import show_claims
from pipelines.reproduction.small.study import miniature
from pipelines.results.report.csv_files import csv_files
from pipelines.results.report.data.verdicts import ClaimVerdict
from pipelines.results.report.publish import read_verdicts, report_path
from pipelines.store.store import Store
from pipelines.study.spec.presentation.miniature import NOTE
from pipelines.study.spec.study import Study
from tests.pipelines.results.report import sample
from tests.support.studies import scripted_study

TESTED = ClaimVerdict(
    'Small, "of course", is better', "2412.11231, table 1", "supported",
    2.5, 1.25, 3.75, 0.001, "tasks", 7, 8, 8,
    "not decided", 0.5, None, None, None, 2, 2,
)  # fmt: skip
MISSING = ClaimVerdict(
    "Later [is] better", "", "not decided",
    None, None, None, None, "", 0, 0, 12,
    "", None, None, None, None, 0, 0,
)  # fmt: skip


def test_verdicts_are_read_back_from_the_store(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    assert read_verdicts(store, "s") == []
    path = str(Path(report_path(store, "s")).with_name("claims.csv"))
    for claims in ([TESTED, MISSING], []):  # a report without claims leaves none of an earlier one
        store.write_bytes(path, csv_files(sample.empty(), claims)["claims.csv"].encode())
        assert read_verdicts(store, "s") == claims


def test_the_terminal_shows_a_line_for_each_claim() -> None:
    console = Console(width=160, record=True)
    show_claims(console, scripted_study(), [TESTED, MISSING])
    text = console.export_text()
    assert NOTE not in text
    assert "supported" in text and "+2.50 (+1.25 to +3.75), 8 of 8 pairs" in text and "not decided" in text
    assert "Later [is] better" in text and "none of 12 pairs yet" in text


def test_the_terminal_says_that_a_miniature_tells_nothing_of_the_papers_models() -> None:
    console = Console(width=160, record=True)
    small = Study.model_validate(miniature(scripted_study()).content)
    show_claims(console, small, [TESTED])
    assert NOTE in console.export_text()
