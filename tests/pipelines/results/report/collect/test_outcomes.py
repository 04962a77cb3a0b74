"""Rates of every round and reasons of every model, counted from the store."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pytest

from actors.engine import EngineSpec, GenerateRequest, Generation
from actors.engines.scripted_engine import ScriptedEngine
from pipelines.results.report.collect.data_sets import Sets
from pipelines.results.report.collect.outcomes import Outcomes
from pipelines.store.store import Store
from pipelines.study.graph.steps.grid import Grid
from tests.support.offline import run_offline
from tests.support.studies import scripted_study


class Moody(ScriptedEngine):
    """Rewrites, answers and judges badly for some rows, by their ids."""

    async def generate(self, request: GenerateRequest) -> Generation:
        said = await super().generate(request)
        prompt, mood = request.messages[0][1], int(request.id[1], 16)
        if "Return only the label" in prompt:
            text = ("equal", "Not equal.", "not equal", "maybe")[mood % 4]
        elif "Return only the new instruction" in prompt:
            text = ("", f'"{said.text}"', said.text, said.text)[mood % 4]
        else:
            text = "Sorry." if mood == 5 else said.text
        return Generation(said.id, text, "stop", said.tokens_in, said.tokens_out)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Grid]:
    store = Store(str(tmp_path_factory.mktemp("store")))
    study = scripted_study(
        seeds=[{"name": "world", "world": {"count": 100}}],
        evolution={"evolvers": ["small"], "rounds": 2, "elimination": {"judge": "scorer"}},
        responses={"teachers": ["large"]},
        scoring=None,
    )
    engines = {name: Moody(EngineSpec("scripted", name)) for name in ("small", "scorer")}
    return store, run_offline(study, store, engines)


def test_every_row_of_every_round_has_one_outcome_and_none_is_lost(ran: tuple[Store, Grid]) -> None:
    store, grid = ran
    rows: dict[int, dict[str, int]] = defaultdict(dict)
    for one in Outcomes(store, grid, store.finished_keys()).round_outcomes():
        rows[one.round][one.outcome] = one.rows
        assert one.rate == pytest.approx(float(one.rows))  # of 100 rows
    for number in (1, 2):
        assert sum(rows[number].values()) == 100
        assert set(rows[number]) == {
            "evolved",
            "eliminated:empty",
            "eliminated:hard_to_answer",
            "eliminated:no_gain",
            "eliminated:no_verdict",
        }


def test_rounds_that_only_later_ones_need_are_counted_too(ran: tuple[Store, Grid]) -> None:
    store, grid = ran
    taken = replace(grid, sets=tuple(pairs for pairs in grid.sets if pairs.round != 1))
    found = [[*Outcomes(store, each, store.finished_keys()).round_outcomes()] for each in (grid, taken)]
    assert found[0] == found[1] and {one.round for one in found[1]} == {1, 2}


def test_the_set_of_a_round_has_its_evolved_rows_only(ran: tuple[Store, Grid]) -> None:
    store, grid = ran
    evolved = {
        one.round: one.rows
        for one in Outcomes(store, grid, store.finished_keys()).round_outcomes()
        if one.outcome == "evolved"
    }
    answered = {score.set.round: score.rows for score in Sets(store, grid, store.finished_keys(), 0).scores()}
    assert answered == {0: 100, **evolved}


def test_replies_are_counted_by_model_role_and_reason(ran: tuple[Store, Grid]) -> None:
    store, grid = ran
    found: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for one in Outcomes(store, grid, store.finished_keys()).reply_outcomes():
        found[one.model, one.role][one.outcome] = one.rows
    evolver, judge, teacher = found["small", "evolver"], found["scorer", "judge"], found["large", "teacher"]
    assert set(evolver) == {"accepted", "repaired:quotes", "rejected:empty"} and sum(evolver.values()) == 200
    assert set(judge) == {"accepted", "repaired:label", "eliminated:no_gain", "eliminated:no_verdict"}
    assert set(teacher) == {"accepted"} and teacher["accepted"] == 100 + judge["accepted"] + judge["repaired:label"]


def test_an_example_shows_each_round_once_beside_its_seed(ran: tuple[Store, Grid]) -> None:
    store, grid = ran
    examples = list(Sets(store, grid, store.finished_keys(), 0).examples())
    assert examples and all([turn.round for turn in example.turns] == [0, 1, 2] for example in examples)
    turns = [turn for example in examples for turn in example.turns]
    assert all(bool(turn.answers) != turn.outcome.startswith("eliminated:") for turn in turns)


def test_nothing_finished_gives_nothing(tmp_path: Path, ran: tuple[Store, Grid]) -> None:
    empty = Outcomes(Store(str(tmp_path)), ran[1], frozenset())
    assert [*empty.round_outcomes(), *empty.reply_outcomes()] == []
