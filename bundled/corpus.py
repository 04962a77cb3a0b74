"""Training rows: textbook documents for the base models, conversations for the chat models.

Every function that is a `Draw` returns a prompt and its target.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import prompts
from bundled.world.evolution import IN_DEPTH_METHODS, evolve
from bundled.world.generate import KINDS, draw_task
from bundled.world.lexicon import NUMBERS, WORDS, kind_of
from bundled.world.tasks import LIST_KINDS

LEVEL_SHARES: Final = (0.4, 0.3, 0.2, 0.1)
PROMPT_WEIGHT: Final = 0.1


class Encoder(Protocol):
    """The interface of tokenizers: ids of plain text, and ids of control tokens."""

    def text(self, content: str) -> list[int]: ...

    def control(self, name: str) -> int: ...


@dataclass(frozen=True)
class TokenRow:
    """Token ids and, for each, the weight of its prediction in the loss (0: not predicted)."""

    ids: list[int]
    weights: list[float]


@dataclass(frozen=True)
class Stage:
    """The difficulty of the drawn tasks, and the side of the held-out split that they are drawn from.

    `levels` are shares of levels 0, 1, 2, ...; `sizes` are sizes of lists. A kind that is listed twice is drawn twice
    as often.
    """

    levels: Sequence[float] = LEVEL_SHARES
    sizes: Sequence[int] = (3, 4, 5)
    kinds: Sequence[str] = KINDS
    held_out: bool = False


Draw = Callable[[random.Random, Stage], tuple[str, str]]


def draw_instruction(rng: random.Random, stage: Stage) -> tuple[str, str]:
    """Draw an instruction and its gold answer."""
    level = rng.choices(range(len(stage.levels)), stage.levels)[0]
    task = draw_task(rng, level, stage.held_out, stage.kinds, stage.sizes)
    return task.render(rng), task.answer()


def question(rng: random.Random, stage: Stage) -> tuple[str, str]:
    """Draw a textbook question and its solution."""
    instruction, answer = draw_instruction(rng, stage)
    return f"Question: {instruction}\nSolution:", answer


def variation(rng: random.Random, stage: Stage) -> tuple[str, str]:
    """Draw a textbook question and a harder one."""
    instruction, _ = draw_instruction(rng, stage)
    harder = evolve(instruction, rng.choice(IN_DEPTH_METHODS), rng)
    return (f"Question: {instruction}\nHarder question:", harder) if harder else variation(rng, stage)


def fact(rng: random.Random, stage: Stage) -> tuple[str, str]:
    """Draw facts about four items."""
    items = rng.sample((*WORDS, *NUMBERS), 4)
    return "Facts:", " ".join(f"The kind of {item} is {kind_of(item)}." for item in items)


def plain_turn(rng: random.Random, stage: Stage) -> tuple[str, str]:
    """Draw a student's prompt (the instruction itself) and the answer."""
    return draw_instruction(rng, stage)


def answer_turn(rng: random.Random, stage: Stage) -> tuple[str, str]:
    """Draw a teacher's prompt (the instruction in the answer template) and the answer."""
    instruction, answer = draw_instruction(rng, stage)
    return prompts.get("answer").render(instruction=instruction), answer


def evolve_turn(rng: random.Random, stage: Stage) -> tuple[str, str]:
    """Draw an evolver's prompt, for one of the five methods, and the evolved instruction."""
    instruction, _ = draw_instruction(rng, stage)
    method = rng.choice((*IN_DEPTH_METHODS, "breadth"))
    evolved = evolve(instruction, method, rng)
    prompt = prompts.get(f"evol_{method}").render(instruction=instruction)
    return (prompt, evolved) if evolved else evolve_turn(rng, stage)


def difficulty_turn(rng: random.Random, stage: Stage) -> tuple[str, str]:
    """Draw a prompt to judge difficulty, and the label, which follows from the number of constraints."""
    level = rng.randrange(len(prompts.DIFFICULTY_LABELS))
    instruction = draw_task(rng, level, stage.held_out, sizes=stage.sizes).render(rng)
    return prompts.get("difficulty").render(instruction=instruction), prompts.DIFFICULTY_LABELS[level]


TEXTBOOK: Final[dict[Draw, float]] = {question: 0.88, variation: 0.09, fact: 0.03}
CONVERSATIONS: Final[dict[Draw, float]] = {plain_turn: 0.3, answer_turn: 0.3, evolve_turn: 0.35, difficulty_turn: 0.05}
LATE_CONVERSATIONS: Final[dict[Draw, float]] = {
    plain_turn: 0.26,
    answer_turn: 0.26,
    evolve_turn: 0.4,
    difficulty_turn: 0.08,
}
LATE_STAGE: Final = Stage(levels=(0.3, 0.3, 0.25, 0.15), kinds=(*KINDS, *LIST_KINDS))


def document_row(encoder: Encoder, prompt: str, target: str) -> TokenRow:
    """Return a plain document: begin of text, prompt, target, end."""
    return _row(
        [encoder.control("bos"), *encoder.text(prompt)], [*encoder.text(target), encoder.control("end")], PROMPT_WEIGHT
    )


def chat_row(encoder: Encoder, prompt: str, target: str) -> TokenRow:
    """Return a conversation of one turn; only the assistant's part is learned."""
    before = [encoder.control("bos"), encoder.control("user"), *encoder.text(prompt), encoder.control("end")]
    return _row([*before, encoder.control("assistant")], [*encoder.text(target), encoder.control("end")], 0.0)


def _row(before: list[int], target: list[int], prompt_weight: float) -> TokenRow:
    # Between a sum and a mean over the row: long copies are easier per token than short answers
    share = len(target) ** -0.5
    return TokenRow([*before, *target], [0.0, *[prompt_weight * share] * (len(before) - 1), *[share] * len(target)])
