"""Step 8: what is trained on. Rows for supervised tuning, and pairs for direct preference optimisation."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from pipelines.evolve.autoif.respond import Response
from pipelines.evolve.autoif.rules import PAPER, Rules

PER_SIDE = 2


@dataclass(frozen=True)
class SftRow:
    """An example for supervised tuning."""

    instruction: str
    input: str
    output: str


@dataclass(frozen=True)
class DpoRow:
    """A prompt with a better and a worse response."""

    prompt: str
    chosen: str
    rejected: str


def joined(instruction: str, query: str) -> str:
    """The query, the instruction and a final stop, both with a capital first letter (2406.13542's code).

    A stop is put between them unless the query has a stop or a question mark anywhere.
    """
    between = " " if "?" in query or "." in query else ". "
    return f"{_capital(query)}{between}{_capital(instruction)}."


def good(responses: Sequence[tuple[Response, float]], rules: Rules = PAPER) -> list[str]:
    """The texts, each once, of the (response, judge's score) that pass by functions and by score."""
    kept = (response for response, score in responses if rules.score.passes(score))
    return list(dict.fromkeys(response.text for response in kept if rules.response.passes(response.pass_rate)))


def sft_rows(instruction: str, query: str, texts: Sequence[str]) -> list[SftRow]:
    """One row per response, instruction and query in one text (2406.13542)."""
    return [SftRow(joined(instruction, query), "", text) for text in texts]


def port_rows(instruction: str, query: str, texts: Sequence[str]) -> list[SftRow]:
    """One row per response with the query as the input (2412.11231)."""
    return [SftRow(instruction, query, text) for text in texts]


def dpo_rows(
    instruction: str, query: str, responses: Sequence[Response], rules: Rules = PAPER, seed: int = 0
) -> list[DpoRow]:
    """Pairs of up to two responses that pass and up to two that no function passes, by seed and prompt."""
    prompt = joined(instruction, query)
    draw = random.Random(f"{seed} {prompt}")
    chosen = _texts(response for response in responses if rules.chosen.passes(response.pass_rate))
    rejected = _texts(response for response in responses if response.pass_rate == 0)
    sides = [draw.sample(texts, min(PER_SIDE, len(texts))) for texts in (chosen, rejected)]
    return [DpoRow(prompt, better, worse) for better, worse in itertools.product(*sides)]


def records(rows: Sequence[SftRow | DpoRow]) -> list[dict[str, str]]:
    """Rows as they are written to JSON Lines."""
    return [asdict(row) for row in rows]


def _texts(responses: Iterable[Response]) -> list[str]:
    return list(dict.fromkeys(response.text for response in responses))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
