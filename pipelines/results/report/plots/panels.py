"""Groups results into panels and names the panels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from pipelines.results.report.data.report import Result
from pipelines.results.report.tables.summary import UNTUNED

MAX_PANELS = 16
Key = tuple[tuple[str, str], ...]


def group_results(results: Iterable[Result], parts: Sequence[str]) -> dict[Key, list[Result]]:
    """Group the tuned results by the fields named in `parts`. A key has each field with its value."""
    groups: defaultdict[Key, list[Result]] = defaultdict(list)
    for result in results:
        if result.round != UNTUNED:
            groups[tuple((part, str(getattr(result, part))) for part in parts)].append(result)
    return dict(groups)


def panel_title(key: Key, groups: Iterable[Key]) -> str:
    """Return a panel's title: student and teacher always, every other field only if it varies between panels."""
    seen: defaultdict[str, set[str]] = defaultdict(set)
    for other in groups:
        for part, value in other:
            seen[part].add(value)
    words = {"student": "student {}", "teacher": "teacher {}"}
    return " · ".join(
        words.get(part, "{}").format(value) for part, value in key if part in words or len(seen[part]) > 1
    )
