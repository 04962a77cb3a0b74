"""Collects what the search of a study has decided, from its decisions in the store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pipelines.results.report.data.search import (
    PriorQuality,
    RungSummary,
    SearchedCell,
    SearchGroup,
    SearchStep,
    SearchSummary,
    search_node,
)
from pipelines.store.store import Store
from pipelines.store.studies.graph_record import SearchNode
from pipelines.store.studies.search_log import SearchDecision, StudentsRisk, load_decisions
from pipelines.study.graph.steps.grid import Grid
from pipelines.study.spec.study import Study

MIN_CELLS = 3  # of a rank correlation


def collect_search(study: Study, grid: Grid, store: Store) -> SearchSummary | None:
    """Return what the search of a study has decided so far; None if it has none, or has not decided anything yet."""
    search = search_node(study, grid)
    made = load_decisions(store, study.study, search.digest) if search else []
    return summarize_search(search, made) if search and made else None


def summarize_search(search: SearchNode, made: Sequence[SearchDecision]) -> SearchSummary:
    """Return what a search has decided with its decisions so far, of which there is at least one."""
    last = made[-1]
    return SearchSummary(
        over=search.over,
        epsilon=search.epsilon,
        risk=search.risk,
        finished=last.reason == "stop",
        cells=tuple(_cells(search, last)),
        groups=tuple(
            SearchGroup(group.students, group.risk, group.trained[0][0] if group.trained else "", group.inseparable)
            for group in last.groups
        ),
        priors=tuple(_prior_qualities(search, last)),
        decisions=tuple(map(_step, made, [None, *made])),
        rungs=tuple(_rungs(search, last)),
    )


def _cells(search: SearchNode, last: SearchDecision) -> Iterator[SearchedCell]:
    scores = {(one.student, one.arm): one.value for one in last.scores}
    failed, asked = (
        {(one.student, one.arm) for one in some if one.seed == 0 and one.share == 1}
        for some in (last.failed, last.cells)
    )
    parts = {(one.student, one.arm, one.share): one.value for one in last.partial}
    for cell in search.cells:
        student, arm = cell
        partial = tuple(parts.get((student, arm, share)) for share in search.shares)
        if cell in scores:
            yield SearchedCell(*cell, "trained", scores[cell], partial=partial)
        elif cell in asked:
            yield SearchedCell(*cell, "training", partial=partial)
        elif cell in failed:
            yield SearchedCell(*cell, "failed", partial=partial)
        else:
            found = [one for group in last.groups if student in group.students for one in group.untrained]
            chance = next((one for one in found if one.arm == arm), None)
            expected, risk = (chance.expected, chance.probability) if chance else (None, None)
            yield SearchedCell(*cell, "skipped", None, expected, risk, partial)


def _rungs(search: SearchNode, last: SearchDecision) -> Iterator[RungSummary]:
    verdicts = {one.share: one for one in last.rungs}
    for share in search.shares:
        trained, verdict = sum(one.share == share for one in last.partial), verdicts.get(share)
        if verdict:
            state = "trusted" if verdict.trusted else "not trusted"
            yield RungSummary(share, state, trained, search.trust, verdict.cells, verdict.rho)
        else:
            yield RungSummary(share, "not measured", trained, search.trust)


def _prior_qualities(search: SearchNode, last: SearchDecision) -> Iterator[PriorQuality]:
    scores = {(one.student, one.arm): one.value for one in last.scores}
    sign = 1 if search.better == "high" else -1
    for name, values in last.priors.items():
        for student in dict.fromkeys(student for student, _ in search.cells):
            pairs = [
                (one.value, sign * scores[student, one.arm])
                for one in values
                if one.student == student and (student, one.arm) in scores
            ]
            yield PriorQuality(name, student, len(pairs), _spearman(pairs))


def _spearman(pairs: list[tuple[float, float]]) -> float | None:
    if len(pairs) < MIN_CELLS or any(len({pair[side] for pair in pairs}) < 2 for side in (0, 1)):
        return None
    from scipy import stats  # slow to import

    found: Any = stats.spearmanr([prior for prior, _ in pairs], [score for _, score in pairs])
    return float(found.statistic)


def _step(decision: SearchDecision, before: SearchDecision | None) -> SearchStep:
    risks = tuple((_students(group), group.risk) for group in decision.groups)
    new = [rung for rung in decision.rungs if before is None or rung not in before.rungs]
    cells, rungs = (tuple(one.text for one in some) for some in (decision.cells, new))
    return SearchStep(decision.number, decision.reason, cells, risks, rungs)


def _students(group: StudentsRisk) -> str:
    return " + ".join(group.students)
