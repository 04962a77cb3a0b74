"""Step 8: what is trained on. Texts for supervised tuning, and pairs for direct preference optimisation."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipelines.evolve.autoif.rules import PAPER, Rules

PER_SIDE = 2


@dataclass(frozen=True)
class Response:
    """An answer, and the share of functions that accept it."""

    text: str
    pass_rate: float


@dataclass(frozen=True)
class DpoRow:
    """A prompt with a better and a worse response."""

    prompt: str
    chosen: str
    rejected: str


def joined(instruction: str, query: str) -> str:
    """The query, the instruction and a final stop, both with a capital first letter (2406.13542's code).

    A stop is put between them unless the query has a stop or a question mark anywhere; one that ends the instruction
    is not doubled.
    """
    between = " " if "?" in query or "." in query else ". "
    return f"{_capital(query)}{between}{_capital(instruction).rstrip('.')}."


def dpo_rows(prompt: str, responses: Sequence[Response], rules: Rules = PAPER, seed: int = 0) -> list[DpoRow]:
    """Pairs of up to two responses that pass and up to two that no function accepts, by seed and prompt."""
    draw = random.Random(f"{seed} {prompt}")
    chosen = _texts(response for response in responses if rules.chosen.passes(response.pass_rate))
    rejected = _texts(response for response in responses if response.pass_rate == 0)
    sides = [draw.sample(texts, min(PER_SIDE, len(texts))) for texts in (chosen, rejected)]
    return [DpoRow(prompt, better, worse) for better, worse in itertools.product(*sides)]


def _texts(responses: Iterable[Response]) -> list[str]:
    return list(dict.fromkeys(response.text for response in responses))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
