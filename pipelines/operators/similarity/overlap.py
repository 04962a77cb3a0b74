"""Overlap of instructions with benchmark tasks: word n-grams (13 and 8 in 2406.00770) and near-duplicates."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.operators.similarity.vectors import Vectors

_WORD = re.compile(r"\w+")
NEAR_MEASURE = "near"
ROWS_PER_BLOCK = 4096


@dataclass(frozen=True, slots=True)
class Overlap:
    """The overlap of a text with the most similar task of a source, by one measure.

    `task` is the task's number in its source. For an n-gram measure ("13-gram"), `value` is the number of shared
    n-grams and `shared` the first of them. For "near", they are the cosine of the embeddings and the task's text.
    """

    source: str
    measure: str
    task: int
    value: float
    shared: str


def ngrams(text: str, n: int) -> Iterator[str]:
    """Return all sequences of n words, in order: lower-cased, without punctuation, joined by single spaces."""
    words = _WORD.findall(text.lower())
    return (" ".join(words[start : start + n]) for start in range(len(words) - n + 1))


class NgramIndex:
    """Index of the n-grams of all tasks. `short` has the number of tasks with fewer than n words by source."""

    def __init__(self, sources: Mapping[str, Sequence[str]], n: int) -> None:
        self.n, self.measure = n, f"{n}-gram"
        self.places: dict[str, list[tuple[str, int]]] = {}
        self.short = Counter[str]()
        for source, tasks in sources.items():
            for number, task in enumerate(tasks):
                found = dict.fromkeys(ngrams(task, n))
                self.short[source] += not found
                for gram in found:
                    self.places.setdefault(gram, []).append((source, number))

    def overlaps(self, text: str) -> list[Overlap]:
        """Return for each source that shares n-grams with a text the task that shares most. Ties: the earlier task."""
        shared: dict[tuple[str, int], list[str]] = {}
        for gram in dict.fromkeys(ngrams(text, self.n)):
            for place in self.places.get(gram, ()):
                shared.setdefault(place, []).append(gram)
        best: dict[str, tuple[str, int]] = {}
        for place in sorted(shared, key=lambda place: (-len(shared[place]), place)):
            best.setdefault(place[0], place)
        found = ((source, number, shared[source, number]) for source, number in best.values())
        return [Overlap(source, self.measure, number, len(grams), grams[0]) for source, number, grams in found]


def near_duplicates(
    vectors: Vectors, source: str, tasks: Sequence[str], task_vectors: Vectors, threshold: float
) -> dict[int, Overlap]:
    """Return the nearest task by row, for rows whose cosine to it is at least `threshold`.

    `vectors` [rows, dimensions] and `task_vectors` [tasks, dimensions] are unit vectors.
    """
    found: dict[int, Overlap] = {}
    for start in range(0, len(vectors), ROWS_PER_BLOCK):
        cosines = vectors[start : start + ROWS_PER_BLOCK] @ task_vectors.T  # [block rows, tasks]
        nearest = cosines.argmax(axis=1)  # [block rows]
        highest = cosines[np.arange(len(cosines)), nearest]  # [block rows]
        for row in np.flatnonzero(highest >= threshold).tolist():
            task = int(nearest[row])
            found[start + row] = Overlap(source, NEAR_MEASURE, task, float(highest[row]), tasks[task])
    return found
