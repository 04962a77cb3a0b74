"""A rule of a plug-in chooses among the ranked pairs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.errors import InputError
from pipelines.execution.steps.selection import run_selection
from pipelines.rows.arrow import from_table
from pipelines.rows.types import PairRow
from pipelines.store.store import Store
from pipelines.study.file.load import load
from tests.support.offline import run_offline

EVERY_OTHER = """\
from pipelines.plugins import SelectionRule

RULE = SelectionRule("every-other", lambda ranked, count: range(0, len(ranked), 2)[:count])
"""
BY_RULE = {"by: shouting, keep: 0.5": "by: words, rule: every-other, size: 3", "{name: any}": "{name: any, by: words}"}


def select(path: Path, store: Store, name: str) -> list[PairRow]:
    grid = run_offline(load(path).study, store)
    step = next(step for step in grid.steps.values() if step.kind == "select" and step.label.endswith(name))
    run_selection(store, step)
    return [*from_table(PairRow, store.rows("select", step.key))]


def test_it_chooses_among_the_ranked_pairs(plugged: Callable[..., Path], tmp_path: Path) -> None:
    path, store = plugged(EVERY_OTHER, BY_RULE), Store(str(tmp_path / "store"))
    ranked = sorted(select(path, store, "any"), key=lambda row: (len(row.instruction.split()), row.index))
    assert {row.index for row in select(path, store, "calm")} == {row.index for row in ranked[::2][:3]}


@pytest.mark.parametrize("choice", ["[0, 0]", "[-1]", "[99]", "range(4)"])
def test_a_choice_that_cannot_be_is_told(plugged: Callable[..., Path], tmp_path: Path, choice: str) -> None:
    path = plugged(EVERY_OTHER.replace("range(0, len(ranked), 2)[:count]", choice), BY_RULE)
    with pytest.raises(InputError, match="the rule 'every-other' must choose up to 3 different indices below 8; here"):
        select(path, Store(str(tmp_path / "store")), "calm")


def test_the_key_knows_the_rule_and_its_code(plugged: Callable[..., Path], tmp_path: Path) -> None:
    found: set[str] = set()
    for plugin, rule in ((EVERY_OTHER, "every-other"), (EVERY_OTHER, "best"), (EVERY_OTHER + "#", "every-other")):
        path = plugged(plugin, BY_RULE | {"by: shouting, keep: 0.5": f"by: words, rule: {rule}, size: 3"})
        grid = run_offline(load(path).study, Store(str(tmp_path / "store")))
        found |= {
            step.key for step in grid.steps.values() if step.label.startswith("select world / large greedy / calm")
        }
    assert len(found) == 3
