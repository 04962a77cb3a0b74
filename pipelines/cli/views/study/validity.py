"""What `evolgrid validate` prints of a study without mistakes: one line."""

from __future__ import annotations

from collections import Counter

from cluster.plural import plural
from pipelines.study.validate import ValidStudy


def validity_line(found: ValidStudy) -> str:
    """Return a line that says what a study has: its seeds, models and steps."""
    study = found.loaded.study
    known = [rows for rows in found.seeds.values() if rows is not None]
    others = len(found.seeds) - len(known)
    seeds = [plural(sum(known), "seed")] if known else []
    seeds += [f"{plural(others, 'seed set')} on the hub"] if others else []
    kinds = Counter(step.kind for step in found.grid.steps.values())
    steps = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    models = plural(len(study.models), "model")
    counts = [*seeds, models, f"{plural(len(found.grid.steps), 'step')} ({steps})"]
    return f"{found.loaded.path}: OK. {', '.join(counts)}"
