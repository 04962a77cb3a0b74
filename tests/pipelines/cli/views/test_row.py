"""What is shown of a row depends on its type and on its step's parameters: each function gets its own."""

from __future__ import annotations

from typing import get_type_hints

from pipelines.cli.views.request import REQUEST_FACTS
from pipelines.cli.views.row import FACTS, row_facts
from pipelines.rows.kinds import ROW_TYPES
from pipelines.rows.types import RewardRow, Row, ScoreRow
from pipelines.study.graph.params import RewardParams
from pipelines.study.graph.step import Step

SHOWN_BY_THEIR_FIELDS = {ScoreRow, RewardRow}


def test_every_row_type_is_shown_by_a_function_of_its_own_or_of_a_base() -> None:
    assert all(get_type_hints(facts)["row"] is row_type for row_type, facts in FACTS.items())
    plain = {row_type for row_type in ROW_TYPES.values() if {*FACTS} & {*row_type.__mro__} == {Row}}
    assert plain == SHOWN_BY_THEIR_FIELDS


def test_what_was_asked_is_told_by_the_parameters() -> None:
    hints = [(params, get_type_hints(facts)["params"]) for params, facts in REQUEST_FACTS.items()]
    assert all(params in getattr(hint, "__args__", (hint,)) for params, hint in hints)


def test_a_row_of_numbers_is_shown_by_its_fields() -> None:
    step = Step("reward", "reward a", "key", {}, (), RewardParams("judge"))
    assert [*row_facts(step, RewardRow("a", "b", "c", 0, reward=0.12345678, tokens=7))] == [
        ("reward", "0.123457"),
        ("tokens", "7"),
    ]
