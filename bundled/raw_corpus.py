"""Raw-text documents for the base models: the texts that a scorer of perplexity, IFD and IC-IFD reads.

As in texts of the web, some instructions are damaged and some answers are wrong. The texts contain no tokens of the
chat format. Every function is a `Draw` with an empty prompt: all of a document is learned.
"""

import random
from typing import Final

from bundled.classifiers import draw_preference
from bundled.corpus import TEXTBOOK, Draw, Stage
from bundled.world.grammar import parse

DAMAGED_SHARE: Final = 0.1
WRONG_SHARE: Final = 0.25


def instruction_text(rng: random.Random, stage: Stage) -> tuple[str, str]:
    """Draw an instruction alone."""
    return "", _pair(rng)[0]


def answer_text(rng: random.Random, stage: Stage) -> tuple[str, str]:
    """Draw an answer alone."""
    return "", _pair(rng)[1]


def pair_text(rng: random.Random, stage: Stage) -> tuple[str, str]:
    """Draw an instruction with its answer on the next line."""
    return "", "\n".join(_pair(rng))


def damage(instruction: str, rng: random.Random) -> str:
    """Return the instruction as a weak evolver may write it: a word is missing, is repeated, or replaces another one.

    The world cannot parse the result, so it states no held-out task.
    """
    while True:
        words = instruction.split(" ")
        place = rng.randrange(len(words))
        words[place : place + 1] = rng.choice(([], [words[place]] * 2, [rng.choice(words)]))
        if parse(" ".join(words)) is None:
            return " ".join(words)


def _pair(rng: random.Random) -> tuple[str, str]:
    drawn = draw_preference(rng)
    instruction = damage(drawn.instruction, rng) if rng.random() < DAMAGED_SHARE else drawn.instruction
    return instruction, drawn.rejected if rng.random() < WRONG_SHARE else drawn.chosen


RAW: Final[dict[Draw, float]] = {instruction_text: 0.2, answer_text: 0.2, pair_text: 0.6}
MIXED: Final[dict[Draw, float]] = {draw: share / 2 for draws in (TEXTBOOK, RAW) for draw, share in draws.items()}
