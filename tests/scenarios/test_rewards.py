"""A study whose teachers choose among candidates and whose pairs are rewarded, on scripted engines without Ray."""

from __future__ import annotations

import io
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from pydantic import ValidationError
from rich.console import Console

from pipelines.cli.views.row import show_chain
from pipelines.execution.steps.selection import run_selection
from pipelines.operators.select.car import car
from pipelines.operators.select.select import select_pairs
from pipelines.results.lineage import Lineage
from pipelines.rows.arrow import from_table
from pipelines.rows.kinds import ROW_TYPES
from pipelines.rows.types import ChosenRow, PairRow, ResponseRow, RewardRow, Row, ScoreRow
from pipelines.store.store import Store
from pipelines.study.graph.steps.grid import Grid, InstructionDataset
from pipelines.study.graph.steps.params.students import SelectParams
from pipelines.study.graph.steps.step import Step
from pipelines.study.spec.pairs.selection import Selection
from pipelines.study.spec.study import Study
from tests.support.offline import run_offline
from tests.support.studies import scripted_study

ROUNDED = 1e-4  # selections compare values that are rounded to five digits
WARM = {"temperature": 0.8, "max_tokens": 12}
CHOICE = {**WARM, "candidates": 4, "reward": "judge"}
DECODINGS: list[dict[str, Any]] = [
    {"name": "greedy", "max_tokens": 12},
    {"name": "sample", "draw": "sample", **WARM},
    {"name": "best", "draw": "best-of", **CHOICE},
    {"name": "worst", "draw": "worst-of", **CHOICE},
]
SELECTION: list[dict[str, Any]] = [
    {"name": "rewarded", "by": "reward", "keep": 0.5},
    {"name": "fitting", "by": "car", "beta": 2.0, "mode": "sigmoid", "keep": 0.5},
]


def study() -> Study:
    return scripted_study(
        models={name: {"source": name, "engine": "scripted"} for name in ("small", "large", "judge")},
        evolution={"evolvers": ["small"], "rounds": 1},
        responses={"teachers": ["large"], "decodings": DECODINGS},
        scoring={"scorer": "small"},
        rewards=["judge"],
        selection=SELECTION,
        recipes={"full": {}},
        students=[{"model": "small", "recipe": "full"}],
    )


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Grid]:
    store = Store(str(tmp_path_factory.mktemp("store")))
    return store, run_offline(study(), store)


def of(ran: tuple[Store, Grid], decoding: str) -> InstructionDataset:
    (pairs,) = (pairs for pairs in ran[1].sets if pairs.round == 1 and pairs.decoding == decoding)
    return pairs


def rows(ran: tuple[Store, Grid], step: Step | None) -> list[Any]:
    assert step
    return from_table(ROW_TYPES[step.kind], ran[0].rows(step.kind, step.key))


def rewards(ran: tuple[Store, Grid], decoding: str) -> dict[str, float]:
    return {row.parent_id: row.reward for row in rows(ran, of(ran, decoding).reward("judge"))}


def test_the_judge_gives_a_chosen_answer_the_reward_by_which_it_was_chosen(ran: tuple[Store, Grid]) -> None:
    for decoding, extreme in (("best", max), ("worst", min)):
        chosen: list[ChosenRow] = rows(ran, of(ran, decoding).responses)
        judged = rewards(ran, decoding)
        assert len(chosen) == 20 and all(len(row.rewards) == 4 for row in chosen)
        assert [judged[row.id] for row in chosen] == [extreme(row.rewards) for row in chosen]
    assert fmean(rewards(ran, "best").values()) > fmean(rewards(ran, "sample").values())
    assert fmean(rewards(ran, "worst").values()) < fmean(rewards(ran, "sample").values())


def test_best_and_worst_come_from_the_same_draw(ran: tuple[Store, Grid]) -> None:
    best, worst = (of(ran, name).responses for name in ("best", "worst"))
    assert best.inputs == worst.inputs
    assert [row.rewards for row in rows(ran, best)] == [row.rewards for row in rows(ran, worst)]


def test_every_step_accounts_for_its_rows(ran: tuple[Store, Grid]) -> None:
    for kind in ("draw", "choose", "reward"):
        for step in (step for step in ran[1].steps.values() if step.kind == kind):
            account = ran[0].manifest(step.kind, step.key).account
            assert account.rows_in == account.rows_out + account.rejected + account.failed == 20


def selected(ran: tuple[Store, Grid], name: str) -> list[PairRow]:
    pairs = of(ran, "best")
    subject = f"{pairs.responses.subject} / {name}"
    (step,) = (step for step in ran[1].steps.values() if step.kind == "select" and step.subject == subject)
    if step.key not in ran[0].finished_keys():
        run_selection(ran[0], step)
    return rows(ran, step)


def test_a_selection_keeps_the_pairs_of_highest_reward(ran: tuple[Store, Grid]) -> None:
    judged = rewards(ran, "best")
    kept = {row.parent_id: row.score for row in selected(ran, "rewarded")}
    finished = {row.id for row in rows(ran, of(ran, "best").responses) if row.finish_reason == "stop"}
    best = {row: judged[row] for row in sorted(finished, key=lambda row: -judged[row])[: len(kept)]}
    assert kept == pytest.approx(best, rel=ROUNDED)


def test_a_selection_by_car_weighs_a_pairs_reward_by_its_loss(ran: tuple[Store, Grid]) -> None:
    judged = rewards(ran, "best")
    losses = {row.parent_id: row.loss_conditional for row in rows(ran, of(ran, "best").scores)}
    kept = selected(ran, "fitting")
    assert kept
    for row in kept:
        expected = car(judged[row.parent_id], losses[row.parent_id], 2.0, "sigmoid")
        assert row.score == pytest.approx(expected, rel=ROUNDED)


def test_a_chosen_answer_is_shown_with_its_candidates_and_their_rewards(ran: tuple[Store, Grid]) -> None:
    reward = rows(ran, of(ran, "best").reward("judge"))[0]
    links = Lineage(*ran).chain(reward.id)
    assert [link.step.kind for link in links] == ["seeds", "evolve", "draw", "choose", "reward"]
    assert all(link.row.parent_id == parent.row.id for parent, link in pairwise(links))
    output = io.StringIO()
    show_chain(Console(file=output, width=200), links, 0)
    told = output.getvalue()
    chosen = links[-2].row
    assert isinstance(chosen, ChosenRow)
    assert f"candidate {chosen.chosen}: {max(chosen.rewards):.6g}" in told
    assert "teacher      large (scripted, large)" in told and "judge        judge (scripted, judge)" in told
    assert "candidate 3" in told and "temperature 0.8, top_p 1, at most 12 tokens" in told


def test_running_again_makes_the_same_rows(ran: tuple[Store, Grid], tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    run_offline(study(), store)
    for step in ran[1].steps.values():
        if step.kind in ("draw", "choose", "reward"):
            assert store.rows(step.kind, step.key).equals(ran[0].rows(step.kind, step.key))


def test_negative_rewards_are_warned_of_where_car_takes_them_raw(ran: tuple[Store, Grid]) -> None:
    pairs = of(ran, "best")
    for mode, expected in (("raw", "of 20 rewards are negative"), ("shift", ""), ("sigmoid", "")):
        selection = Selection.model_validate({"name": "x", "by": "car", "mode": mode})
        (step,) = (one for one in ran[1].steps.values() if one.subject == f"{pairs.responses.subject} / fitting")
        changed = replace(step, key=f"{mode:0<32}", params=SelectParams(selection, 0))
        told = run_selection(ran[0], changed).extra["warning"]
        assert expected in told and bool(told) == (mode == "raw")


def score_row(pair: str, loss: float) -> ScoreRow:
    return ScoreRow(f"s{pair}", pair, "s", 0, 3, 3, 3, 1.0, loss, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)


def test_a_shifted_selection_takes_rewards_above_the_least_of_the_set() -> None:
    pairs = [ResponseRow(f"{n:032x}", "p", "s", n, "Ask.", "", "yes", "stop", 3, 1) for n in range(3)]
    judged: dict[str, Row] = {pair.id: RewardRow("r", pair.id, "s", n, n - 5.0, 9) for n, pair in enumerate(pairs)}
    losses: dict[str, Row] = {
        pair.id: score_row(pair.id, loss) for pair, loss in zip(pairs, (0.1, 0.1, 4.0), strict=True)
    }
    selection = Selection.model_validate({"name": "x", "by": "car", "mode": "shift", "beta": 1.0, "keep": 0.34})
    chosen, _ = select_pairs(pairs, {"reward": judged, "score": losses}, selection, 0, "key")
    assert [(row.index, row.score) for row in chosen] == [(1, pytest.approx(1 / 1.1, rel=ROUNDED))]


@pytest.mark.parametrize(
    ("field", "value", "by"), [("beta", 2.0, "reward"), ("mode", "raw", "ifd"), ("reward", "judge", "random")]
)
def test_what_a_metric_does_not_know_is_refused(field: str, value: Any, by: str) -> None:
    with pytest.raises(ValidationError, match=f"'{field}' is only allowed with 'by: car', and this is 'by: {by}'"):
        Selection.model_validate({"name": "x", "by": by, field: value})
