"""Finds seeds that are nearly the same as an earlier one, by MinHash (Broder 1997) over word 5-grams.

Two texts are near-duplicates if at least 80% of their 5-grams are the same (Jaccard similarity 0.8), as in Lee et al.,
"Deduplicating Training Data Makes Language Models Better" (2107.06499). The similarity is estimated from 120 minima,
with a standard error of 0.04. Candidates agree in one of 20 bands of 6 minima: 99.8% of the pairs at 0.8 do.
"""

from __future__ import annotations

import re
import zlib
from array import array
from typing import Any, NamedTuple

import numpy as np

from pipelines.execution.steps.repeats import conversation_text
from pipelines.rows.readers import SeedRow

SHINGLE_WORDS = 5
MIN_SIMILARITY = 0.8
BANDS, BAND_ROWS = 20, 6
HASHES = BANDS * BAND_ROWS
_SHINGLES_AT_ONCE = 4096
_FIRST_ROWS = 1024
# words, punctuation marks, and each character of scripts without spaces between words
_CJK = r"\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_WORD = re.compile(rf"[{_CJK}]|(?:(?![{_CJK}])\w)+|[^\w\s]")

Words = Any  # numpy's arrays of unsigned integers


class NearRepeat(NamedTuple):
    """The index of the earlier seed that a seed repeats, and their estimated similarity (0 to 1)."""

    row: int
    similarity: float


class NearRepeatFilter:
    """Recognises near-duplicates of earlier seeds, with about 700 bytes for each distinct seed."""

    def __init__(self) -> None:
        self._indices = array("q")
        self._minima = np.empty((_FIRST_ROWS, HASHES), dtype=np.uint32)
        # a chained hash table of the bands: the entry of a seed's band is `seed * BANDS + band`, and 0 ends a chain
        self._heads, self._next = array("q"), array("q")
        self._grow()

    def find(self, row: SeedRow) -> NearRepeat | None:
        """Return the first earlier seed that is nearly the same; take note of the seed if there is none."""
        minima = _minima(conversation_text(row))
        buckets = self._buckets(minima[None])[0].tolist()
        candidates = sorted({seed for bucket in buckets for seed in self._chain(bucket)})
        if candidates:
            similar = (self._minima[candidates] == minima).mean(axis=1)
            near = np.flatnonzero(similar >= MIN_SIMILARITY)
            if len(near):
                return NearRepeat(self._indices[candidates[near[0]]], float(similar[near[0]]))
        self._add(row.index, minima, buckets)
        return None

    def _chain(self, bucket: int) -> list[int]:
        seeds: list[int] = []
        entry = self._heads[bucket]
        while entry:
            seeds.append((entry - 1) // BANDS)
            entry = self._next[entry - 1]
        return seeds

    def _add(self, index: int, minima: Words, buckets: list[int]) -> None:
        seed = len(self._indices)
        if seed == len(self._minima):
            self._minima = np.concatenate([self._minima, np.empty_like(self._minima)])
            self._grow()
            buckets = self._buckets(minima[None])[0].tolist()
        self._indices.append(index)
        self._minima[seed] = minima
        self._link(buckets)

    def _link(self, buckets: list[int]) -> None:
        for bucket in buckets:
            self._next.append(self._heads[bucket])
            self._heads[bucket] = len(self._next)

    def _grow(self) -> None:
        """Make a bucket for each band of each seed that fits, and link the seeds again."""
        self._heads, self._next = array("q", bytes(8 * BANDS * len(self._minima))), array("q")
        for start in range(0, len(self._indices), _FIRST_ROWS):
            for buckets in self._buckets(self._minima[start : start + _FIRST_ROWS][: len(self._indices) - start]):
                self._link(buckets.tolist())

    def _buckets(self, minima: Words) -> Words:
        """Return the bucket of each band, [seeds, bands]."""
        bands = minima.astype(np.uint64).reshape(len(minima), BANDS, BAND_ROWS)
        keys = np.arange(BANDS, dtype=np.uint64)[None]
        for number in range(BAND_ROWS):
            keys = _mixed(keys ^ bands[:, :, number])
        return keys % np.uint64(len(self._heads))


def _minima(text: str) -> Words:
    """Return the least hash of a text's shingles under each of `HASHES` hash functions."""
    shingles = _shingles(text)
    least = np.full(HASHES, np.iinfo(np.uint32).max, dtype=np.uint32)
    for start in range(0, len(shingles), _SHINGLES_AT_ONCE):
        piece = shingles[None, start : start + _SHINGLES_AT_ONCE]
        hashes = (_mixed(piece ^ _SEEDS[:, None]) >> np.uint64(32)).astype(np.uint32)
        least = np.minimum(least, hashes.min(axis=1))
    return least


def _shingles(text: str) -> Words:
    """Return a hash of each 5-gram of words; of a shorter text, one of all its words."""
    words = _WORD.findall(text.lower())
    hashes = np.fromiter((zlib.crc32(word.encode()) for word in words), dtype=np.uint64, count=len(words))
    width = min(SHINGLE_WORDS, len(words))
    found = np.zeros(len(words) - width + 1, dtype=np.uint64)
    for offset in range(width):
        found = _mixed(found ^ hashes[offset : offset + len(found)])
    return np.unique(found)


def _mixed(values: Words) -> Words:
    """Return SplitMix64's hashes of 64-bit integers."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


_SEEDS = _mixed(np.arange(HASHES, dtype=np.uint64))
