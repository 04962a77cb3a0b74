"""Decodings of a study: sweeps, samples, and choices among candidates."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from pipelines.study.graph.build import build
from pipelines.study.graph.steps.grid import Grid
from pipelines.study.graph.steps.params.answers import BestOfNParams, SampleCandidatesParams
from pipelines.study.graph.steps.step import Step
from pipelines.study.spec.common.basics import SamplingSpec
from pipelines.study.spec.pairs.responses import BestOfN, Decoding, Responses
from pipelines.study.spec.study import Study
from tests.support.offline import HERE
from tests.support.studies import scripted_study

WARM = {"temperature": 0.8, "max_tokens": 8, "reward": "judge"}


def study(*decodings: dict[str, Any], **changes: Any) -> Study:
    models = {name: {"source": name, "engine": "scripted"} for name in ("small", "judge", "critic")}
    return scripted_study(
        **{
            "models": models,
            "evolution": {"evolvers": ["small"], "rounds": 1},
            "responses": {"teachers": ["small"], "decodings": list(decodings)},
            "scoring": None,
        }
        | changes
    )


def kinds(grid: Grid, kind: str) -> list[Step]:
    return [step for step in grid.steps.values() if step.kind == kind]


def test_lists_of_temperatures_and_top_p_are_a_grid_of_named_ways() -> None:
    sweep = Decoding(name="warm", temperature=[0.3, 1.0], top_p=[0.5, 0.95], max_tokens=9)
    assert [(way.name, way.sampling) for way in sweep.variants()] == [
        ("warm-t0.3-p0.5", SamplingSpec(temperature=0.3, top_p=0.5, max_tokens=9)),
        ("warm-t0.3-p0.95", SamplingSpec(temperature=0.3, top_p=0.95, max_tokens=9)),
        ("warm-t1-p0.5", SamplingSpec(temperature=1.0, top_p=0.5, max_tokens=9)),
        ("warm-t1-p0.95", SamplingSpec(temperature=1.0, top_p=0.95, max_tokens=9)),
    ]


def test_what_has_one_value_stays_out_of_the_names() -> None:
    one = Decoding.model_validate({"name": "x", "temperature": [0.5, 0.7], "top_p": 0.9})
    assert [way.name for way in one.variants()] == ["x-t0.5", "x-t0.7"]
    assert [way.name for way in Responses(teachers=["a"]).variants] == ["greedy"]


def test_every_way_of_a_sweep_is_a_data_set_and_shares_its_step_with_the_same_sampling() -> None:
    grid = build(study({"name": "warm", "temperature": [0.3, 1.0]}, {"name": "hot", "temperature": 1.0}), HERE)
    assert {pairs.decoding for pairs in grid.sets} == {"warm-t0.3", "warm-t1", "hot"}
    by_name = {pairs.decoding: pairs.responses for pairs in grid.sets if pairs.round == 1}
    assert by_name["hot"] is by_name["warm-t1"] and by_name["hot"] is not by_name["warm-t0.3"]


def test_best_and_worst_of_n_choose_among_the_same_candidates() -> None:
    best, worst = {"name": "best", "draw": "best-of", **WARM}, {"name": "worst", "draw": "worst-of", **WARM}
    grid = build(study(best, worst), HERE)
    drawn, chosen = kinds(grid, "draw"), kinds(grid, "choose")
    assert [step.params for step in drawn] == [
        SampleCandidatesParams("small", SamplingSpec(temperature=0.8, max_tokens=8), 5)
    ] * 2, "one for the seeds, one for the round"
    assert sorted(step.subject for step in chosen if "r1" in step.subject) == [
        "world small r1 / small best",
        "world small r1 / small worst",
    ]
    assert {step.params for step in chosen} == {BestOfNParams("judge", "best"), BestOfNParams("judge", "worst")}
    assert all(step.inputs[0] in drawn for step in chosen)


@pytest.mark.parametrize(
    ("change", "draws", "chooses"),
    [
        ({"reward": "critic"}, False, True),
        ({"draw": "worst-of"}, False, True),
        ({"candidates": 3}, True, True),
        ({"temperature": 0.9}, True, True),
        ({"top_p": 0.9}, True, True),
        ({"max_tokens": 9}, True, True),
        ({"name": "other"}, False, False),
    ],
)
def test_what_a_choice_depends_on_is_in_its_key(change: dict[str, Any], draws: bool, chooses: bool) -> None:
    plain = {"name": "best", "draw": "best-of", **WARM}
    one, other = build(study(plain), HERE), build(study(plain | change), HERE)
    for kind, changes in (("draw", draws), ("choose", chooses)):
        assert ({step.key for step in kinds(one, kind)} != {step.key for step in kinds(other, kind)}) == changes


def test_a_choice_is_a_part_of_its_way() -> None:
    decoding = Decoding(name="b", draw="best-of", candidates=3, reward="judge", temperature=[0.5, 1.0])
    assert [way.best_of_n for way in decoding.variants()] == [BestOfN("best", 3, "judge")] * 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"draw": "best-of", "temperature": 0.8}, "needs a 'reward'"),
        ({"draw": "worst-of", "reward": "judge"}, "needs a temperature above 0"),
        ({"draw": "best-of", "reward": "judge", "temperature": [0.0, 1.0]}, "needs a temperature above 0"),
        ({"draw": "sample"}, "needs a temperature above 0"),
        ({"reward": "judge"}, "only allowed with 'draw: best-of'"),
        ({"draw": "sample", "temperature": 1.0, "candidates": 3}, "only allowed with 'draw: best-of'"),
        ({"temperature": [0.7, 0.7]}, "duplicate value"),
        ({"top_p": []}, "at least 1 item"),
        ({"temperature": [0.7, 3.0]}, "less than or equal to 2"),
    ],
)
def test_what_makes_no_sense_together_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Decoding.model_validate({"name": "x"} | changes)


def test_every_pair_is_judged_by_every_reward_model_and_a_selection_reads_the_one_it_names() -> None:
    selection = [{"name": "top", "by": "reward", "reward": "critic", "keep": 0.5}, {"name": "all"}]
    training = {"recipes": {"full": {}}, "students": [{"model": "small", "recipe": "full"}]}
    made = study({"name": "greedy"}, rewards=["judge", "critic"], selection=selection, **training)
    grid = build(made, HERE)
    (pairs,) = (pairs for pairs in grid.sets if pairs.round == 1)
    assert [name for name, _ in pairs.rewards] == ["judge", "critic"]
    assert all(step.kind == "reward" and step.inputs == (pairs.responses,) for _, step in pairs.rewards)
    top = [step for step in kinds(grid, "select") if step.subject.endswith("r1 / small greedy / top")]
    assert [step.inputs for step in top] == [(pairs.responses, dict(pairs.rewards)["critic"])]


def test_ways_of_a_sweep_have_different_names_however_close_their_values() -> None:
    decoding = Decoding(name="warm", temperature=[0.7, 0.70000001], max_tokens=8)
    assert [variant.name for variant in decoding.variants()] == ["warm-t0.7", "warm-t0.70000001"]
