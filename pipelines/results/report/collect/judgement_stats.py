"""Statistics of a judge's ratings of a data set (2412.11231, difficulty levels, difficulty scores, keywords)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean

from pipelines.rows.types import JudgementRow


def label_shares(labels: Mapping[str, int], rows: int) -> dict[str, float]:
    """Return the percentage of each label. `rows` counts all judged rows, including those without a readable label."""
    return {label: 100 * count / rows if rows else 0.0 for label, count in labels.items()}


def count_labels(rows: Sequence[JudgementRow], order: Sequence[str]) -> dict[str, int]:
    """Return the number of rows with each label, in the order of `order`."""
    found = Counter(label for row in rows for label in row.labels)
    return {label: found[label] for label in order}


def mean_score(rows: Sequence[JudgementRow]) -> float | None:
    """Return the mean score of the rows that have one; None if none has."""
    scores = [score for row in rows for score in row.scores]
    return fmean(scores) if scores else None


def count_distinct(rows: Sequence[JudgementRow]) -> int:
    """Return the number of different keywords in all rows."""
    return len({label for row in rows for label in row.labels})
