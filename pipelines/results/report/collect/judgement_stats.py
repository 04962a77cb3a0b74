"""Statistics of a judge's ratings of a data set (2412.11231, difficulty levels, difficulty scores, keywords)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from operator import attrgetter
from statistics import fmean

from pipelines.rows.types import JudgementRow

TAGGED_SAMPLE = 100  # instructions over which the diversity of tags is counted (2406.00770, Table 4)


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


def tag_diversity(rows: Sequence[JudgementRow]) -> float | None:
    """Return the number of different tags by instruction, of `TAGGED_SAMPLE` instructions; None without rows.

    The number of different tags grows more slowly than that of instructions, so sets are compared at the same size.
    The instructions are those with the lowest ids, which are hashes.
    """
    sample = sorted(rows, key=attrgetter("id"))[:TAGGED_SAMPLE]
    return count_distinct(sample) / len(sample) if sample else None
