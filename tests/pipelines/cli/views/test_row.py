"""What is shown of a row depends on its type and on its step's parameters: each function gets its own."""

from __future__ import annotations

from typing import get_type_hints

from pipelines.cli.views.request import REQUEST_FACTS
from pipelines.cli.views.row import FACTS, row_facts
from pipelines.rows.kinds import ROW_TYPES
from pipelines.rows.types import InstructionRow, LengthsRow, ResponseRow, RewardRow, Row, ScoreRow
from pipelines.study.graph.steps.params.answers import RespondParams
from pipelines.study.graph.steps.params.measures import RewardParams
from pipelines.study.graph.steps.step import Step
from pipelines.study.spec.common.basics import SamplingSpec
from tests.support.studies import evolve_job

SHOWN_BY_THEIR_FIELDS = {LengthsRow, ScoreRow, RewardRow}


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


def test_thoughts_and_kept_instructions_are_shown() -> None:
    respond = Step("respond", "a", "key", {}, (), RespondParams("m", SamplingSpec()))
    answer = ResponseRow("a", "b", "c", 0, "Ask.", "", "42", "stop", 1, 1, thoughts="One more.")
    assert ("thoughts", "One more.") in [*row_facts(respond, answer)]
    evolve = Step("evolve", "a", "key", {}, (), evolve_job())
    row = InstructionRow("a", "b", "c", 0, 1, "deepen", "Ask.", "", "", "cut", "kept:truncated", 1, 1, thoughts="Hm.")
    facts = dict(row_facts(evolve, row))
    assert facts["thoughts"] == "Hm."
    assert facts["outcome"] == "kept:truncated: the instruction from before is passed on"
