"""AutoIF, step 1: a model writes new instructions on the format of an answer, with hand-written ones as examples."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from actors.engine import Generation
from pipelines.operators.autoif.reply_parsing import (
    ParsedReply,
    accepted,
    is_text,
    rejected,
    repaired,
    without_thoughts,
)
from pipelines.operators.autoif.sampling import RepeatedSampler, Sample
from pipelines.rows.ids import row_id
from pipelines.rows.types import FormatRow, Rejection
from pipelines.study.graph.steps.prompt_names import AUTOIF_AUGMENT
from prompts import STANDARD_CATALOG, Catalog

DEFAULT_RUNS = 100
GIVEN = "given"  # the outcome of a hand-written instruction
_DASHED = re.compile(r"\A-\s*(?P<item>\S.*)\Z")
_OTHER_LIST = re.compile(r"\A(?:[*\u2022]|\d+[.)])\s*(?P<item>\S.*)\Z")


@dataclass(frozen=True)
class Augment:
    """Asks a model `runs` times for new instructions (2406.13542: 100 runs of 50 lines)."""

    sampler: RepeatedSampler
    runs: int = DEFAULT_RUNS
    catalog: Catalog = STANDARD_CATALOG

    async def __call__(self, seeds: Sequence[str], identity: str) -> tuple[Sample[tuple[str, ...]], ...]:
        """Return one sample per run; `union` merges them."""
        prompt = self.catalog.get(AUTOIF_AUGMENT).render(seeds="\n".join(f"- {seed}" for seed in seeds))
        return await self.sampler(prompt, read_instructions, identity, AUTOIF_AUGMENT, self.runs)


def read_instructions(said: Generation) -> ParsedReply[tuple[str, ...]]:
    """Read the lines that start with a dash, and remove the dash.

    Repaired: other list markers (`list_marks`), lines that are not list items (`other_lines`), and a truncated reply,
    whose last line is dropped (`truncated`). Rejected: `no_list`.
    """
    if said.finish_reason == "length":
        return repaired(without_thoughts(parse_instructions)(said.text.rpartition("\n")[0]), after=["truncated"])
    return without_thoughts(parse_instructions)(said.text)


def parse_instructions(text: str) -> ParsedReply[tuple[str, ...]]:
    """Read the instructions of a complete reply, as `read_instructions` does."""
    lines = [line.strip() for line in text.splitlines() if line.strip(" -\t")]
    dashed = [_DASHED.match(line) for line in lines]
    marked = [_OTHER_LIST.match(line) for line in lines]
    matches = [one or other for one, other in zip(dashed, marked, strict=True)]
    items = tuple(match["item"].rstrip(" -") for match in matches if match and is_text(match["item"]))
    if not items:
        return rejected("no_list")
    rules = {"list_marks": any(marked), "other_lines": len(items) < len(lines)}
    return accepted(items, *(rule for rule, used in rules.items() if used))


def format_rows(
    given: Sequence[str], samples: Sequence[Sample[tuple[str, ...]]], key: str
) -> tuple[list[FormatRow], list[Rejection]]:
    """Return rows for the `union`, and rejections for replies without a list. `key` is the step's key."""
    said = {item.strip(): draw for draw in reversed(samples) for item in draw.value or ()}
    rows: list[FormatRow] = []
    for number, text in enumerate(union(given, samples)):
        format_id, draw = row_id("", key, number), None if text in given else said[text]
        rows.append(
            FormatRow(format_id, "", format_id, number, text, draw.raw if draw else "", draw.outcome if draw else GIVEN)
        )
    unread = [draw for draw in samples if draw.value is None]
    return rows, [_unread_rejection(draw, key, len(rows) + number) for number, draw in enumerate(unread)]


def _unread_rejection(sample: Sample[tuple[str, ...]], key: str, number: int) -> Rejection:
    rejection_id, reason = row_id("", key, number), sample.outcome.removeprefix("rejected:")
    return Rejection(rejection_id, "", rejection_id, number, "rejected", reason, "", sample.raw)


def union(seeds: Iterable[str], samples: Iterable[Sample[tuple[str, ...]]]) -> tuple[str, ...]:
    """Return the distinct seeds and new instructions, in order. Case, spaces and a final full stop are ignored.

    2412.11231's code keeps duplicates and blank lines; the paper says that they are removed.
    """
    all_items = [*seeds, *(item for draw in samples for item in draw.value or ())]
    kept: dict[str, str] = {}
    for item in all_items:
        kept.setdefault(" ".join(item.split()).rstrip(".").casefold(), item.strip())
    kept.pop("", None)
    return tuple(kept.values())
