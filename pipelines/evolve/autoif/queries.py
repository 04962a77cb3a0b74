"""Step 5: queries of real users, to be answered under the instructions."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipelines.evolve.autoif.reading import is_text

QUERIES = 16
SHORTEST, LONGEST = 21, 299
USERS = ("human", "user")


def first_turn(conversation: Mapping[str, Any]) -> str | None:
    """The first turn of the user in a row of ShareGPT's form, {"conversations": [{"from", "value"}, ...]}, if any."""
    turns = conversation.get("conversations") or []
    return next((turn["value"] for turn in turns if turn.get("from") in USERS and is_text(turn.get("value"))), None)


def usable(queries: Iterable[str]) -> tuple[str, ...]:
    """Queries of more than 20 and fewer than 300 characters, each once, in order."""
    return tuple(dict.fromkeys(query for query in queries if SHORTEST <= len(query) <= LONGEST))


def pair(instruction: str, queries: Sequence[str], count: int = QUERIES, seed: int = 0) -> tuple[str, ...]:
    """`count` queries for an instruction, drawn without replacement.

    They depend on the instruction and the seed, not on the other instructions. ValueError if there are too few.
    """
    if len(queries) < count:
        raise ValueError(
            f"{count} queries per instruction are to be drawn from {len(queries)}; give more, or draw fewer"
        )
    return tuple(random.Random(f"{seed} {instruction}").sample(queries, count))
