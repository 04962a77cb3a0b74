"""What instructions share with benchmark tasks: n-grams of words (2406.00770 checks 13 and 8), near-duplicates."""

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
    """What a text has in common with the task of a source that it is most like by one measure.

    `task` is the task's number in its source. An n-gram measure ("13-gram") counts shared n-grams in `value`, and
    `shared` is the first of them; "near" has the cosine of the embeddings, and the task's text.
    """

    source: str
    measure: str
    task: int
    value: float
    shared: str


def ngrams(text: str, n: int) -> Iterator[str]:
    """All runs of n words, in order: lower-cased, without punctuation, joined by single spaces."""
    words = _WORD.findall(text.lower())
    return (" ".join(words[start : start + n]) for start in range(len(words) - n + 1))


class NgramIndex:
    """The n-grams of all tasks of all sources. `short` counts by source the tasks with fewer than n words."""

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
        """For each source that shares n-grams with a text, the task that shares most; the earlier one of equals."""
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
    """For each row of unit vectors [rows, d] whose cosine to a task's [tasks, d] is not below the threshold, the
    nearest task."""
    found: dict[int, Overlap] = {}
    for start in range(0, len(vectors), ROWS_PER_BLOCK):
        cosines = vectors[start : start + ROWS_PER_BLOCK] @ task_vectors.T
        nearest = cosines.argmax(axis=1)
        highest = cosines[np.arange(len(cosines)), nearest]
        for row in np.flatnonzero(highest >= threshold).tolist():
            task = int(nearest[row])
            found[start + row] = Overlap(source, NEAR_MEASURE, task, float(highest[row]), tasks[task])
    return found
