"""Examples for display: turns with marked words, grouped by seed. Long texts are truncated and collapsed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.results.report.data.report import Example, Turn
from pipelines.results.report.tables.word_diff import Segment, segments

FOLD_CHARS = 700
MAX_CHARS = 20_000


@dataclass(frozen=True, slots=True)
class Text:
    """A text in segments. `preview` is shown for a collapsed long text; `cut` is the number of truncated characters."""

    segments: tuple[Segment, ...]
    preview: str
    length: int
    cut: int

    @property
    def plain(self) -> str:
        """The text without markup."""
        return "".join(piece.text for piece in self.segments if piece.change != "removed")


@dataclass(frozen=True, slots=True)
class TurnView:
    """A round: badges, the instruction compared with the previous round's, and each teacher's answer."""

    round: int
    method: str
    outcome: str
    instruction: Text
    answers: tuple[tuple[str, Text], ...]


@dataclass(frozen=True, slots=True)
class SeedView:
    """A seed with one row of turns per evolver."""

    seed_id: str
    seeds: str
    evolutions: tuple[tuple[str, tuple[TurnView, ...]], ...]


def seed_views(examples: Sequence[Example]) -> list[SeedView]:
    """Return the examples grouped by seed, in the given order."""
    keys = dict.fromkeys((example.seeds, example.seed_id) for example in examples)
    return [
        SeedView(
            seed_id,
            seeds,
            tuple((e.evolver, _turns(e.turns)) for e in examples if (e.seeds, e.seed_id) == (seeds, seed_id)),
        )
        for seeds, seed_id in keys
    ]


def _turns(turns: Sequence[Turn]) -> tuple[TurnView, ...]:
    before = [None, *(turn.instruction for turn in turns[:-1])]
    return tuple(
        TurnView(
            turn.round,
            turn.method,
            turn.outcome,
            _text(turn.instruction, old),
            tuple((teacher, _text(answer, None)) for teacher, answer in turn.answers),
        )
        for turn, old in zip(turns, before, strict=True)
    )


def _text(text: str, old: str | None) -> Text:
    shown = text[:MAX_CHARS]
    parts = [Segment("same", shown)] if old is None else segments(old, shown)
    preview = f"{shown[: FOLD_CHARS // 2].rstrip()} …" if len(text) > FOLD_CHARS else ""
    return Text(tuple(parts), preview, len(text), len(text) - len(shown))
