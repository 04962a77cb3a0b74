"""What holds for every grid: searches end, decide the same again, and never ask for a cell twice."""

from __future__ import annotations

import math
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.search.decide import next_cells
from pipelines.search.replay import replay
from pipelines.search.risk import group_risks
from pipelines.search.rungs import next_step
from pipelines.search.space import Cell, Evidence, RungSettings, SearchSettings, SearchSpace

SCORES = st.one_of(st.sampled_from([0.0, 1.0, 5.0]), st.floats(0, 100), st.just(math.nan))
PRIORS = st.one_of(st.sampled_from([0.0, 1.0]), st.floats(-1e6, 1e6), st.just(math.nan))


@st.composite
def grids(draw: st.DrawFn) -> tuple[SearchSpace, dict[Cell, float], frozenset[Cell]]:
    """A grid with its scores and the cells whose trainings fail; one student and two arms, ties, gaps, equal priors."""
    students = tuple(f"s{number}" for number in range(draw(st.integers(1, 3))))
    arms = tuple(f"a{number}" for number in range(draw(st.integers(1, 5))))
    cells = [Cell(student, arm) for student in students for arm in arms]
    absent = frozenset(draw(st.sets(st.sampled_from(cells), max_size=2)))
    names = draw(st.sampled_from([(), ("car",), ("car", "rsr")]))
    priors = {name: {cell: draw(PRIORS) for cell in cells} for name in names}
    scores = {cell: draw(SCORES) for cell in cells}
    return SearchSpace(students, arms, priors, absent), scores, frozenset(c for c in cells if math.isnan(scores[c]))


SETTINGS = st.builds(
    SearchSettings,
    epsilon=st.sampled_from([0.01, 0.05, 0.5]),
    risk=st.sampled_from([0.0, 0.1, 0.5]),
    per=st.sampled_from(["student", "all"]),
    start=st.integers(1, 3),
    higher_is_better=st.booleans(),
    scale=st.sampled_from(["log", "linear"]),
)


@settings(deadline=None, max_examples=150)
@given(grids(), SETTINGS, st.integers(1, 7))
def test_a_search_ends_asks_for_no_cell_twice_and_can_be_continued(
    made: tuple[SearchSpace, dict[Cell, float], frozenset[Cell]], chosen: SearchSettings, room: int
) -> None:
    space, scores, failing = made
    evidence, asked = Evidence(), list[Cell]()
    while (decision := next_cells(space, evidence, chosen, room)).cells:
        assert decision == next_cells(space, evidence, chosen, room)
        assert not set(decision.cells) & {*asked, *space.absent}
        asked += decision.cells
        known = {cell: scores[cell] for cell in decision.cells if cell not in failing}
        failed = evidence.failed | (failing & set(decision.cells))
        evidence = Evidence({**evidence.scores, **known}, failed)
    assert decision.reason == "stop"
    for group in decision.groups:
        assert 0 <= group.risk <= chosen.risk
        assert chosen.risk > 0 or not group.candidates
        values = [value for _, value in group.trained]
        assert values == sorted(values, reverse=chosen.higher_is_better)


@settings(deadline=None, max_examples=60)
@given(grids(), SETTINGS, st.sampled_from([-1.0, 0.5, 0.9]), st.data())
def test_a_search_with_partial_trainings_ends_and_trains_no_cell_twice_on_the_same_share(
    made: tuple[SearchSpace, dict[Cell, float], frozenset[Cell]],
    chosen: SearchSettings,
    trust: float,
    data: st.DataObject,
) -> None:
    space, scores, failing = made
    chosen = replace(chosen, rungs=RungSettings((0.1, 0.4), trust, cells=3))
    evidence, verdicts, asked = Evidence(), (), list[tuple[Cell, float]]()
    while (found := next_step(space, evidence, chosen, 2, verdicts)).decision.cells:
        cells, share, verdicts = found.decision.cells, found.share, found.verdicts
        assert found == next_step(space, evidence, chosen, 2, verdicts)
        assert not {(cell, share) for cell in cells} & {*asked} and not {*cells} & {*space.absent, *evidence.failed}
        asked += [(cell, share) for cell in cells]
        if share < 1:
            known = {**evidence.partial.get(share, {}), **{cell: data.draw(SCORES) for cell in cells}}
            evidence = replace(evidence, partial={**evidence.partial, share: known})
        else:
            known = {**evidence.scores, **{cell: scores[cell] for cell in cells if cell not in failing}}
            evidence = replace(evidence, scores=known, failed=evidence.failed | (failing & {*cells}))
    assert found.decision.reason == "stop" and all(group.risk <= chosen.risk for group in found.decision.groups)
    assert len({verdict.share for verdict in verdicts}) == len(verdicts)


@settings(deadline=None, max_examples=60)
@given(grids(), SETTINGS)
def test_the_chosen_arm_of_a_whole_grid_is_the_best(
    made: tuple[SearchSpace, dict[Cell, float], frozenset[Cell]], chosen: SearchSettings
) -> None:
    space, scores, _ = made
    chosen = replace(chosen, risk=0.0, per="student")
    known = {cell: 1.0 if math.isnan(score) else score for cell, score in scores.items()}
    found = replay(space, chosen, known.__getitem__)
    assert set(found.scores) == set(space.cells)
    better = max if chosen.higher_is_better else min
    for group in found.groups:
        values = {cell.arm: known[cell] for cell in space.cells if cell.student == group.students[0]}
        if values and min(values.values()) > 0:
            assert values[group.best or ""] == better(values.values())


@settings(deadline=None, max_examples=60)
@given(grids(), SETTINGS, st.floats(0.01, 100))
def test_decisions_do_not_depend_on_the_unit_of_the_scores(
    made: tuple[SearchSpace, dict[Cell, float], frozenset[Cell]], chosen: SearchSettings, unit: float
) -> None:
    space, scores, failing = made
    chosen = replace(chosen, scale="log")
    known = {cell: 1.0 + score for cell, score in scores.items() if cell not in failing | space.absent}
    one = group_risks(space, Evidence(known), chosen)
    other = group_risks(space, Evidence({cell: unit * score for cell, score in known.items()}), chosen)
    for first, second in zip(one, other, strict=True):
        assert math.isclose(first.risk, second.risk, abs_tol=1e-6)
        assert {arm for arm, _ in first.trained} == {arm for arm, _ in second.trained}
