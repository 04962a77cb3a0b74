"""What the report says of judges' words, and of how the scores of each set are distributed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

import prompts
from pipelines.results.report.collect.judgement_stats import count_distinct, count_labels, label_shares, mean_score
from pipelines.results.report.data.scores import LabelShare, SetDistribution, SetJudgement, SetProbabilities
from pipelines.rows.arrow import from_table
from pipelines.rows.operator import NOT_EVOLVED
from pipelines.rows.types import JudgementRow, ScoreRow
from pipelines.store.store import Store
from pipelines.study.graph.grid import Grid, InstructionDataset
from pipelines.study.graph.judging import evolution_step
from pipelines.study.graph.params import EvolveParams
from pipelines.study.graph.step import Step
from pipelines.study.spec.judging import JudgeMetric

BINS = 20
DISTRIBUTION_SCORES = ("ppl_instruction", "ppl_answer", "ppl_conditional", "ifd", "ifd_ppl", "ic_ifd")
LABELS = {"difficulty": prompts.DIFFICULTY_LABELS, "category": prompts.CATEGORIES}


class ScoreDistributions:
    """Reads judgements and scores of a grid's sets as far as their steps are finished."""

    def __init__(self, store: Store, grid: Grid, done: frozenset[str]) -> None:
        self.store, self.grid, self.done = store, grid, done

    def judgements(self) -> Iterator[SetJudgement]:
        """One entry per set of instructions and metric."""
        shown: set[str] = set()
        for pairs in self.grid.sets:
            for metric, step in pairs.judgements:
                if step.key in self.done - shown:
                    shown.add(step.key)
                    yield self._judgement(pairs, metric, step)

    def distributions(self) -> Iterator[SetDistribution]:
        """One entry per scored set and score."""
        for pairs, rows in self._scored_sets():
            for score in DISTRIBUTION_SCORES:
                values = np.array([getattr(row, score) for row in rows])
                low, median, high = map(float, np.quantile(values, (0.25, 0.5, 0.75)))
                yield SetDistribution(*_names(pairs), score, len(rows), float(values.mean()), low, median, high)

    def probabilities(self) -> Iterator[SetProbabilities]:
        """One entry per scored set whose tokens' probabilities were kept."""
        for pairs, rows in self._scored_sets():
            values = np.array([value for row in rows for value in row.answer_probabilities])
            if len(values):
                yield SetProbabilities(*_names(pairs), *_bin_probabilities(values))

    def confidences(self) -> Iterator[SetProbabilities]:
        """One entry per evolved set whose evolver's own probabilities were kept (2412.11231: confidence)."""
        for pairs in {pairs.instructions.key: pairs for pairs in self.grid.sets}.values():
            step = evolution_step(pairs.instructions)
            if step is None or step.key not in self.done:
                continue
            assert isinstance(step.params, EvolveParams)
            if step.params.probabilities:
                kept = self.store.rows(step.kind, step.key, columns=["probabilities"]).column("probabilities")
                if len(values := kept.combine_chunks().flatten().to_numpy()):
                    yield SetProbabilities(*_names(pairs)[:3], "", "", *_bin_probabilities(values))

    def _scored_sets(self) -> Iterator[tuple[InstructionDataset, list[ScoreRow]]]:
        for pairs in self.grid.sets:
            if pairs.scores and pairs.scores.key in self.done:
                rows = from_table(ScoreRow, self.store.rows(pairs.scores.kind, pairs.scores.key))
                if rows:
                    yield pairs, rows

    def _judgement(self, pairs: InstructionDataset, metric: JudgeMetric, step: Step) -> SetJudgement:
        account = self.store.manifest(step.kind, step.key).account
        found = from_table(JudgementRow, self.store.rows(step.kind, step.key))
        rows = account.rows_in - account.reasons.get(NOT_EVOLVED, 0)
        shares = label_shares(count_labels(found, LABELS.get(metric, ())), rows)
        return SetJudgement(
            *_names(pairs)[:3],
            metric=metric,
            rows=rows,
            unread=rows - len(found),
            mean=mean_score(found),
            distinct=count_distinct(found) if metric == "keywords" else None,
            shares=tuple(LabelShare(*each) for each in shares.items()),
        )


def _bin_probabilities(values: npt.NDArray[np.float64]) -> tuple[int, float, tuple[tuple[float, float], ...]]:
    """How many there are, their mean, and percentages by bins of [0, 1]."""
    counts, edges = np.histogram(values, BINS, (0.0, 1.0))
    bins = zip(edges[:-1].round(2).tolist(), (100.0 * counts / len(values)).tolist(), strict=True)
    return len(values), float(values.mean()), tuple(bins)


def _names(pairs: InstructionDataset) -> tuple[str, str, int, str, str]:
    return pairs.seeds, pairs.evolved_by, pairs.round, pairs.teacher, pairs.decoding
