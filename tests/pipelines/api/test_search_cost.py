"""What `plan` says a search may cost."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from pipelines.api.views.search import show_search_cost
from tests.pipelines.execution.search.test_decisions import searched


def shown(**search: Any) -> str:
    console = Console(record=True, width=1000)
    show_search_cost(console, searched(seeds=1, **search))
    return console.export_text()


def test_the_cost_of_a_search_is_that_of_its_cells() -> None:
    text = shown()
    assert "Search over teacher: trains 4 to 12 cells with its finals" in text and "the whole grid has 12" in text
    assert "artial" not in text and "All other figures here are those of the whole grid." in text


def test_partial_trainings_count_as_their_share_and_are_compared_with_a_search_without_them() -> None:
    text = shown(rungs={"shares": [0.1, 0.25], "trust": 0.8})
    assert "trains 4 to 16 cells" in text, "12 and 12 x 0.35"
    assert "Partial trainings on 10 %, 25 % of the rows count as these shares" in text
    assert "without them, the average is" in text and "the rank correlation 0.8 with the scores" in text
    assert "All other figures here are those of the whole grid and all partial trainings." in text
