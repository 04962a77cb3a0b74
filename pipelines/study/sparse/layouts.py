"""Checks the patterns of a study's layouts and claims: each names values of the study."""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.study.file.yaml_tree import Loc
from pipelines.study.sparse.problems import known_values, unknown_values
from pipelines.study.spec.presentation.layouts import NumberPattern
from pipelines.study.spec.study import Study


def layout_problems(study: Study) -> Iterator[tuple[Loc, str, str | None]]:
    """Yield the place of each mistake in the study's layouts and claims, what is wrong, and what to do."""
    known = known_values(study) if study.layouts or study.claims else {}
    for loc, pattern in _patterns(study):
        for place, message, remedy in unknown_values(pattern, known):
            yield (*loc, *place), message, remedy


def _patterns(study: Study) -> Iterator[tuple[Loc, NumberPattern]]:
    for block, entries in (("layouts", study.layouts), ("claims", study.claims)):
        for number, entry in enumerate(entries):
            yield from (((block, number, "only", index), pattern) for index, pattern in enumerate(entry.only))
    for number, claim in enumerate(study.claims):
        yield from ((("claims", number, side), getattr(claim, side)) for side in ("left", "right"))
