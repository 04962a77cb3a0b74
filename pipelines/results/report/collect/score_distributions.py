"""Collects the report's facts on judges' ratings, and the distributions of scores."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

import prompts
from pipelines.operators.score.instruction_judge import NOT_SAMPLED
from pipelines.operators.select.measurements import reported, reported_values
from pipelines.results.report.collect.judgement_stats import (
    count_distinct,
    count_labels,
    label_shares,
    mean_score,
    tag_diversity,
)
from pipelines.results.report.data.scores import LabelShare, SetDistribution, SetJudgement, SetProbabilities
from pipelines.results.report.data.set_key import set_key
from pipelines.rows.arrow import from_table
from pipelines.rows.operator import NOT_EVOLVED
from pipelines.rows.types import JudgementRow
from pipelines.store.store import Store
from pipelines.study.graph.builders.judging import evolution_step
from pipelines.study.graph.steps.grid import Grid, InstructionDataset
from pipelines.study.graph.steps.params.instructions import EvolveParams
from pipelines.study.graph.steps.step import Step
from pipelines.study.spec.pairs.scoring import JudgeMetric

BINS = 20
NOT_ASKED = (NOT_EVOLVED, NOT_SAMPLED)
LABELS = {"difficulty": prompts.DIFFICULTY_LABELS, "category": prompts.CATEGORIES}


class ScoreDistributions:
    """Reads the judgements and scores of a grid's data sets whose steps are finished."""

    def __init__(self, store: Store, grid: Grid, done: frozenset[str], seed: int) -> None:
        self.store, self.grid, self.done, self.seed = store, grid, done, seed

    def judgements(self) -> Iterator[SetJudgement]:
        """Yield one entry per set of instructions and metric."""
        shown: set[str] = set()
        for pairs in self.grid.sets:
            for metric, step in pairs.judgements:
                if step.key in self.done - shown:
                    shown.add(step.key)
                    yield self._judgement(pairs, metric, step)

    def distributions(self) -> Iterator[SetDistribution]:
        """Yield one entry per data set and reported metric that has values."""
        for pairs in self.grid.sets:
            for metric, known in reported_values(self.store, pairs, self.done, self.seed).items():
                if known:
                    values = np.array(known)
                    low, median, high = map(float, np.quantile(values, (0.25, 0.5, 0.75)))
                    mean = float(values.mean())
                    yield SetDistribution(set_key(pairs), metric.column, len(known), mean, low, median, high)

    def probabilities(self) -> Iterator[SetProbabilities]:
        """Yield one entry per data set and scorer with stored token probabilities."""
        for pairs in self.grid.sets:
            for scored in pairs.score_steps:
                if scored.step.key not in self.done:
                    continue
                values = self._list_column(scored.step, "answer_probabilities")
                if len(values):
                    scorer = reported("", pairs, scored).column
                    yield SetProbabilities(set_key(pairs), scorer, *_bin_probabilities(values))

    def confidences(self) -> Iterator[SetProbabilities]:
        """Yield one entry per evolved set with probabilities of the evolver's replies (2412.11231: confidence)."""
        for pairs in {pairs.instructions.key: pairs for pairs in self.grid.sets}.values():
            step = evolution_step(pairs.instructions)
            if step is None or step.key not in self.done:
                continue
            assert isinstance(step.params, EvolveParams)
            if step.params.probabilities and len(values := self._list_column(step, "probabilities")):
                own = set_key(pairs)._replace(teacher="", decoding="")
                yield SetProbabilities(own, "", *_bin_probabilities(values))

    def _list_column(self, step: Step, name: str) -> npt.NDArray[np.float64]:
        """Return a column of lists, flattened in row order."""
        column = self.store.rows(step.kind, step.key, columns=[name]).column(name)
        return column.combine_chunks().flatten().to_numpy()

    def _judgement(self, pairs: InstructionDataset, metric: JudgeMetric, step: Step) -> SetJudgement:
        account = self.store.manifest(step.kind, step.key).account
        found = from_table(JudgementRow, self.store.rows(step.kind, step.key))
        rows = account.rows_in - sum(account.reasons.get(reason, 0) for reason in NOT_ASKED)
        shares = label_shares(count_labels(found, LABELS.get(metric, ())), rows)
        return SetJudgement(
            set_key(pairs).instructions,
            metric=metric,
            rows=rows,
            unread=rows - len(found),
            mean=mean_score(found),
            distinct=count_distinct(found) if metric in ("keywords", "tags") else None,
            shares=tuple(LabelShare(*each) for each in shares.items()),
            diversity=tag_diversity(found) if metric == "tags" else None,
        )


def _bin_probabilities(values: npt.NDArray[np.float64]) -> tuple[int, float, tuple[tuple[float, float], ...]]:
    """Return the number of values, their mean, and (lower edge, percentage) by bins of [0, 1]."""
    counts, edges = np.histogram(values, BINS, (0.0, 1.0))
    bins = zip(edges[:-1].round(2).tolist(), (100.0 * counts / len(values)).tolist(), strict=True)
    return len(values), float(values.mean()), tuple(bins)
