"""Make the bundled models from nothing: `python -m bundled.make`.

tiny-1m-base learns the skills from textbook documents. tiny-4m-base is grown from it: twice as wide, the same function
at first, then trained on. The chat model of each size goes on from its base with conversations.
"""

import argparse
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from bundled import corpus, family, tokenizer
from bundled.corpus import Draw, Row, Stage
from bundled.family import RowEncoder
from bundled.training import Recipe, train

MODELS: Final = Path(__file__).parent / "models"
SAVE_EVERY: Final = 50

RECIPES: Final[dict[str, Recipe]] = {
    "tiny-1m-base": Recipe(steps=2000),
    "tiny-1m-chat": Recipe(steps=300, matrix_rate=0.01, rate=3e-3),
    "tiny-4m-base": Recipe(steps=300, matrix_rate=0.01, rate=3e-3),
    "tiny-4m-chat": Recipe(steps=750, matrix_rate=0.01, rate=3e-3),
}
STARTS_FROM: Final = {
    "tiny-1m-chat": "tiny-1m-base",
    "tiny-4m-base": "tiny-1m-base",
    "tiny-4m-chat": "tiny-4m-base",
}


@dataclass(frozen=True)
class Lesson:
    """What is drawn at which share, how it is laid out, and how its difficulty grows."""

    draws: dict[Draw, float]
    chat: bool
    stages: tuple[tuple[float, Stage], ...]

    def stage(self, progress: float) -> Stage:
        """The stage at that share of the steps done (0 to 1)."""
        return next(stage for end, stage in self.stages if progress <= end)


BASE_LESSON: Final = Lesson(
    corpus.TEXTBOOK,
    chat=False,
    stages=(
        (0.15, Stage(levels=(1.0,), sizes=(2, 3, 4))),
        (0.35, Stage(levels=(0.6, 0.4), sizes=(3, 4, 5))),
        (1.0, Stage()),
    ),
)
LESSONS: Final = {
    "tiny-1m-base": BASE_LESSON,
    "tiny-1m-chat": Lesson(corpus.CONVERSATIONS, chat=True, stages=((1.0, Stage()),)),
    "tiny-4m-base": Lesson(corpus.TEXTBOOK, chat=False, stages=((1.0, Stage()),)),
    "tiny-4m-chat": Lesson(corpus.CONVERSATIONS, chat=True, stages=((1.0, Stage()),)),
}


def main() -> None:
    """Command line: which models to make, and where to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="*", default=list(RECIPES), choices=list(RECIPES))
    parser.add_argument("--out", type=Path, default=MODELS)
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the steps of every model")
    options = parser.parse_args()
    words = tokenizer.build()
    for name in options.models:
        recipe = RECIPES[name]
        make(name, replace(recipe, steps=max(1, int(recipe.steps * options.scale))), words, options.out)


def make(name: str, recipe: Recipe, words: PreTrainedTokenizerFast, out: Path) -> None:
    """Train one model and keep it in `out/name`; all but the first start from another model in `out`."""
    torch.manual_seed(0)
    model = _start(name, words, out)
    model.to("cuda" if torch.cuda.is_available() else "cpu")  # pyright: ignore[reportArgumentType]
    encoder = RowEncoder(words)
    started = time.monotonic()

    def report(step: int, loss: float, tokens: int) -> None:
        done = step + 1
        if done == recipe.steps or done % SAVE_EVERY == 0:
            family.save(model, words, out / name)
            seconds = time.monotonic() - started
            print(
                f"{name} step {done}/{recipe.steps} loss {loss:.3f} tokens {tokens} seconds {seconds:.0f}", flush=True
            )

    rows = _rows(LESSONS[name], recipe.steps, encoder, random.Random(name))
    train(model, recipe, rows, encoder.control("pad"), report)


def _start(name: str, words: PreTrainedTokenizerFast, out: Path) -> LlamaForCausalLM:
    size = family.SIZES[name.rsplit("-", 1)[0]]
    if name not in STARTS_FROM:
        return family.new_model(size, words)
    parent = family.load(out / STARTS_FROM[name])
    return parent if parent.config.hidden_size == size.width else family.grown(parent, size)


def _rows(lesson: Lesson, steps: int, encoder: RowEncoder, rng: random.Random) -> Callable[[int], Row]:
    layout = corpus.chat_row if lesson.chat else corpus.document_row
    draws, shares = list(lesson.draws), list(lesson.draws.values())

    def draw(step: int) -> Row:
        prompt, target = rng.choices(draws, shares)[0](rng, lesson.stage(step / steps))
        return layout(encoder, prompt, target)

    return draw


if __name__ == "__main__":
    main()
