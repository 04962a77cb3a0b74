"""Conversations as seed rows: the instruction, its history and its reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pipelines.rows.readers.layouts.turns import Turn
from pipelines.rows.readers.rules import ReadingRules
from pipelines.rows.readers.seed_rows import Note, RowProblem

SYSTEM = Note("a system text, which is not used")
LATE_SYSTEM = Note("a system turn after the first turn, which is read as if it came first", lost=False)
OPENING = Note("an assistant's turn before the first user turn, which is not used")
EARLIER = Note("turns before the last user turn, which are not used")
LATER = Note("turns after the first reply, which are not used")
JOINED = Note("consecutive turns of one speaker, which were joined by a blank line", lost=False)


class Seed(NamedTuple):
    """What a seed row says, without its number."""

    instruction: str
    input: str
    output: str
    system: str
    history: tuple[str, ...]
    notes: tuple[Note, ...]


def to_seed(turns: Sequence[Turn], name: str, rules: ReadingRules, extra: str = "") -> Seed:
    """Return the seed of a conversation. `extra` is the input that belongs to its last user turn.

    Raises:
        RowProblem: If no turn is the user's. `name` is the column that it names.
    """
    notes = list(dict.fromkeys(note for turn in turns for note in turn.notes))
    system = _system(turns, notes)
    texts = _alternating([turn for turn in turns if turn.role != "system"], notes)
    if not texts:
        raise RowProblem("no-user-turn", "no turn is the user's", name)
    last = (len(texts) - 1) // 2 * 2
    first = rules.turns == "first"
    place = 0 if first else last
    if first and last:
        notes.append(LATER)
    if rules.turns == "last" and last:
        notes.append(EARLIER)
    history = tuple(texts[:last]) if rules.turns == "all" else ()
    output = texts[place + 1] if place + 1 < len(texts) else ""
    seed = Seed(texts[place], extra if place == last else "", output, system, history, tuple(notes))
    return with_system_rule(seed, rules)


def with_system_rule(seed: Seed, rules: ReadingRules) -> Seed:
    """Return a seed with its system text kept, dropped, or merged into the first user turn, as the rules say."""
    if rules.system == "keep" or not seed.system:
        return seed
    if rules.system == "drop":
        return seed._replace(system="", notes=(*seed.notes, SYSTEM))
    if seed.history:
        first, *others = seed.history
        return seed._replace(system="", history=(_joined(seed.system, first), *others))
    return seed._replace(system="", instruction=_joined(seed.system, seed.instruction))


def _system(turns: Sequence[Turn], notes: list[Note]) -> str:
    texts = list(dict.fromkeys(turn.text for turn in turns if turn.role == "system" and turn.text.strip()))
    started = next((place for place, turn in enumerate(turns) if turn.role != "system"), len(turns))
    if any(turn.role == "system" for turn in turns[started:]):
        notes.append(LATE_SYSTEM)
    if len(texts) > 1:
        notes.append(JOINED)
    return "\n\n".join(texts)


def _alternating(turns: Sequence[Turn], notes: list[Note]) -> list[str]:
    """Return texts that are the user's and the assistant's by turns, beginning with the user's."""
    joined: list[tuple[str, str]] = []
    for role, text, _ in turns:
        if not joined or joined[-1][0] != role:
            joined.append((role, text))
            continue
        before = joined[-1][1]
        if before.strip() and text.strip():
            notes.append(JOINED)
        joined[-1] = (role, _joined(before, text))
    if joined and joined[0][0] == "assistant" and joined.pop(0)[1].strip():
        notes.append(OPENING)
    texts = [text for _, text in joined]
    return texts[:-1] if len(texts) % 2 and len(texts) > 1 and not texts[-1].strip() else texts


def _joined(before: str, after: str) -> str:
    return f"{before}\n\n{after}" if before.strip() and after.strip() else after if after.strip() else before
