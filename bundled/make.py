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
SAVE_EVERY: Final = 100

RECIPES: Final[dict[str, Recipe]] = {
    "tiny-1m-base": Recipe(steps=2000),
    "tiny-1m-chat": Recipe(steps=300, matrix_rate=0.01, rate=3e-3),
    "tiny-4m-base": Recipe(steps=300, matrix_rate=0.01, rate=3e-3),
    "tiny-4m-chat": Recipe(steps=900, matrix_rate=0.01, rate=3e-3),
}
STARTS_FROM: Final = {
    "tiny-1m-chat": "tiny-1m-base",
    "tiny-4m-base": "tiny-1m-base",
    "tiny-4m-chat": "tiny-4m-base",
}


@dataclass(frozen=True)
class Part:
    """What is drawn at which share and how hard it is, until that share of a model's steps is done (0 to 1)."""

    until: float
    draws: dict[Draw, float]
    stage: Stage


CONVERSATION: Final = Part(1.0, corpus.CONVERSATIONS, Stage())
TEXTBOOK: Final = Part(1.0, corpus.TEXTBOOK, Stage())

LESSONS: Final[dict[str, tuple[Part, ...]]] = {
    "tiny-1m-base": (
        Part(0.15, corpus.TEXTBOOK, Stage(levels=(1.0,), sizes=(2, 3, 4))),
        Part(0.35, corpus.TEXTBOOK, Stage(levels=(0.6, 0.4), sizes=(3, 4, 5))),
        TEXTBOOK,
    ),
    "tiny-1m-chat": (CONVERSATION,),
    "tiny-4m-base": (TEXTBOOK,),
    "tiny-4m-chat": (replace(CONVERSATION, until=1 / 3), Part(1.0, corpus.LATE_CONVERSATIONS, corpus.LATE)),
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

    train(model, recipe, _rows(name, recipe.steps, encoder), encoder.control("pad"), report)


def _start(name: str, words: PreTrainedTokenizerFast, out: Path) -> LlamaForCausalLM:
    size = family.SIZES[name.rsplit("-", 1)[0]]
    if name not in STARTS_FROM:
        return family.new_model(size, words)
    parent = family.load(out / STARTS_FROM[name])
    return parent if parent.config.hidden_size == size.width else family.grown(parent, size)


def _rows(name: str, steps: int, encoder: RowEncoder) -> Callable[[int], Row]:
    layout = corpus.chat_row if name.endswith("-chat") else corpus.document_row
    rng = random.Random(name)

    def draw(step: int) -> Row:
        part = next(part for part in LESSONS[name] if step / steps <= part.until)
        prompt, target = rng.choices(list(part.draws), list(part.draws.values()))[0](rng, part.stage)
        return layout(encoder, prompt, target)

    return draw


if __name__ == "__main__":
    main()
