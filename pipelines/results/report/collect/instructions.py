"""Collects the report's facts on sets of instructions: diversity, overlap with benchmarks, and selections."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from pipelines.operators.similarity.overlap import NEAR_MEASURE
from pipelines.results.report.data.instructions import SetDiversity, SetOverlap, SetSelection
from pipelines.results.report.data.set_key import set_key
from pipelines.store.store import Store
from pipelines.study.graph.steps.grid import Grid, InstructionDataset
from pipelines.study.graph.steps.params.students import SelectParams
from pipelines.study.graph.steps.step import Step
from pipelines.study.inputs.references import reference_label
from pipelines.study.spec.pairs.selection import METRICS
from pipelines.study.spec.study import Study

BINS = 20


class Instructions:
    """Reads a grid's finished steps of diversity, contamination and selection."""

    def __init__(self, study: Study, store: Store, grid: Grid, done: frozenset[str]) -> None:
        self.study, self.store, self.grid, self.done = study, store, grid, done

    def diversities(self) -> Iterator[SetDiversity]:
        """Yield one entry per set of instructions that was embedded."""
        for pairs, step in self._finished_sets("diversity"):
            table = self.store.rows(step.kind, step.key, columns=["distance", "repeats"])
            distances, repeats = (table.column(name).to_numpy() for name in ("distance", "repeats"))
            skipped = self.store.manifest(step.kind, step.key).account.rejected
            yield SetDiversity(
                set_key(pairs).instructions,
                len(distances),
                skipped,
                *_distribution(distances),
                *_distance_shares(distances, repeats),
            )

    def overlaps(self) -> Iterator[SetOverlap]:
        """Yield one entry per set of instructions, source of tasks and measure."""
        block = self.study.contamination
        if block is None:
            return
        measures = [*(f"{n}-gram" for n in block.ngrams), *([NEAR_MEASURE] if block.near else [])]
        sources = [reference_label(self.study, name) for name in block.against]
        for pairs, step in self._finished_sets("contamination"):
            rows = self._rows(step, "sources", "measures", "shared")
            shared: dict[tuple[str, str], list[str]] = {}
            for row in rows:
                for source, measure, text in zip(row["sources"], row["measures"], row["shared"], strict=True):
                    shared.setdefault((source, measure), []).append(text)
            for source, measure in ((source, measure) for source in sources for measure in measures):
                found = shared.get((source, measure), [])
                rate = 100.0 * len(found) / len(rows) if rows else 0.0
                example = found[0] if found else ""
                yield SetOverlap(set_key(pairs).instructions, source, measure, len(rows), len(found), rate, example)

    def selections(self) -> Iterator[SetSelection]:
        """Yield one entry per selection of a data set."""
        for pairs, _, step, seed, base in self.grid.selected:
            if step.key not in self.done or not isinstance(step.params, SelectParams):
                continue
            spec = step.params.selection
            account = self.store.manifest(step.kind, step.key).account
            scores = [row["score"] for row in self._rows(step, "score")]
            numbers = (float(np.mean(scores)), min(scores), max(scores)) if scores else (None, None, None)
            yield SetSelection(
                set_key(pairs),
                spec.name + (f", seed {seed}" if seed is not None else "") + (f" for {base}" if base else ""),
                spec.by,
                spec.order or METRICS[spec.by].better,
                account.rows_in,
                account.rows_out,
                *numbers,
                tuple(account.reasons.items()),
            )

    def _finished_sets(self, kind: str) -> list[tuple[InstructionDataset, Step]]:
        """Return the finished steps of this kind, each with one of the data sets that share it."""
        found = {step.key: (pairs, step) for pairs in self.grid.sets if (step := getattr(pairs, kind))}
        return [entry for key, entry in found.items() if key in self.done]

    def _rows(self, step: Step, *columns: str) -> list[dict[str, Any]]:
        return self.store.rows(step.kind, step.key, columns=list(columns)).to_pylist()


def _distribution(values: Any) -> tuple[float | None, float | None, float | None, float | None]:
    """Return mean, lower quartile, median and upper quartile; None for each if there are no values."""
    if not len(values):
        return None, None, None, None
    low, median, high = map(float, np.quantile(values, (0.25, 0.5, 0.75)))
    return float(values.mean()), low, median, high


def _distance_shares(
    distances: Any, repeats: Any
) -> tuple[float | None, float | None, tuple[tuple[float, float], ...]]:
    """Return the percentages of equal instructions, of near ones, and by bins of distances."""
    if not len(distances):
        return None, None, ()
    edges = np.linspace(0, 1, BINS + 1).round(2)
    counts, _ = np.histogram(np.minimum(distances, 1.0), edges)
    bins = tuple((float(edge), float(part)) for edge, part in zip(edges, 100 * counts / len(distances), strict=False))
    return float(100 * (distances == 0).mean()), float(100 * (repeats > 0).mean()), bins
