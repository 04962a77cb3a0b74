"""What `evolgrid validate` prints of a study without mistakes: one line."""

from __future__ import annotations

from collections import Counter

from pipelines.study.validate import ValidStudy


def validity_line(found: ValidStudy) -> str:
    """Return a line that says what a study has: its seeds, models and steps."""
    study = found.loaded.study
    known = [rows for rows in found.seeds.values() if rows is not None]
    others = len(found.seeds) - len(known)
    seeds = [f"{sum(known):,} seeds"] if known else []
    seeds += [f"{others} seed set{'s' if others > 1 else ''} on the hub"] if others else []
    kinds = Counter(step.kind for step in found.grid.steps.values())
    steps = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    models = f"{len(study.models)} model{'s' if len(study.models) > 1 else ''}"
    counts = [*seeds, models, f"{len(found.grid.steps):,} steps ({steps})"]
    return f"{found.loaded.path}: OK. {', '.join(counts)}"
