"""Make the bundled models from scratch: `python -m bundled.make`.

tiny-1m-base is trained on textbook documents, at last also on raw text. tiny-4m-base is grown from it: twice as wide,
it computes the same function at first, and is trained further on both. The chat model of each size is its base, trained
further on conversations. tiny-4m-methods is tiny-4m-chat, trained further on conversations of all methods. The
classifiers are small models with another head.
"""

import argparse
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import torch
from transformers import LlamaForCausalLM, LlamaForSequenceClassification, PreTrainedTokenizerFast

from bundled import auto_evol_corpus as auto_corpus
from bundled import autoif_corpus, classifiers, corpus, family, raw_corpus, tokenizer
from bundled.corpus import Draw, Stage, TokenRow
from bundled.family import RowEncoder
from bundled.training import Losses, Recipe, row_losses, train

MODELS: Final = Path(__file__).parent / "models"
SAVE_EVERY: Final = 100
RECIPES: Final[dict[str, Recipe]] = {
    "tiny-1m-base": Recipe(steps=2400),
    "tiny-1m-chat": Recipe(steps=300, matrix_rate=0.01, rate=3e-3),
    "tiny-4m-base": Recipe(steps=500, matrix_rate=0.01, rate=3e-3),
    "tiny-4m-chat": Recipe(steps=900, matrix_rate=0.01, rate=3e-3),
    "tiny-4m-methods": Recipe(steps=545, matrix_rate=0.01, rate=3e-3, bfloat16=True),
    "tiny-1m-nli": Recipe(steps=1200, matrix_rate=0.01, rate=3e-3),
    "tiny-1m-reward": Recipe(steps=800, matrix_rate=0.01, rate=3e-3),
}
STARTS_FROM: Final = {
    "tiny-1m-chat": "tiny-1m-base",
    "tiny-4m-base": "tiny-1m-base",
    "tiny-4m-chat": "tiny-4m-base",
    "tiny-4m-methods": "tiny-4m-chat",
    "tiny-1m-nli": "tiny-1m-base",
    "tiny-1m-reward": "tiny-1m-chat",
}


@dataclass(frozen=True)
class TrainingPhase:
    """What is drawn, at which shares, and how hard it is, until the share `until` (0 to 1) of the steps is done."""

    until: float
    draws: dict[Draw, float]
    stage: Stage


CONVERSATION: Final = TrainingPhase(1.0, corpus.CONVERSATIONS, Stage())
DOCUMENTS: Final = TrainingPhase(1.0, raw_corpus.MIXED, Stage())
METHODS: Final[dict[Draw, float]] = {
    corpus.plain_turn: 0.06,
    corpus.answer_turn: 0.08,
    corpus.evolve_turn: 0.08,
    corpus.difficulty_turn: 0.02,
    auto_corpus.auto_turn: 0.14,
    auto_corpus.broken_auto_turn: 0.01,
    auto_corpus.broken_answer_turn: 0.02,
    auto_corpus.analyze_turn: 0.08,
    auto_corpus.optimize_turn: 0.03,
    auto_corpus.equality_turn: 0.1,
    autoif_corpus.augment_turn: 0.03,
    autoif_corpus.material_turn: 0.11,
    autoif_corpus.back_translate_turn: 0.07,
    autoif_corpus.format_answer_turn: 0.08,
    autoif_corpus.score_turn: 0.09,
}
TRAINING_PHASES: Final[dict[str, tuple[TrainingPhase, ...]]] = {
    "tiny-1m-base": (
        TrainingPhase(0.12, corpus.TEXTBOOK, Stage(levels=(1.0,), sizes=(2, 3, 4))),
        TrainingPhase(0.3, corpus.TEXTBOOK, Stage(levels=(0.6, 0.4), sizes=(3, 4, 5))),
        TrainingPhase(0.8, corpus.TEXTBOOK, Stage()),
        DOCUMENTS,
    ),
    "tiny-1m-chat": (CONVERSATION,),
    "tiny-4m-base": (DOCUMENTS,),
    "tiny-4m-chat": (
        replace(CONVERSATION, until=1 / 3),
        TrainingPhase(1.0, corpus.LATE_CONVERSATIONS, corpus.LATE_STAGE),
    ),
    "tiny-4m-methods": (TrainingPhase(1.0, METHODS, corpus.LATE_STAGE),),
}


def main() -> None:
    """Make the models that the command line names, in the folder that it names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="*", default=list(RECIPES), choices=list(RECIPES))
    parser.add_argument("--out", type=Path, default=MODELS)
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the steps of every model")
    options = parser.parse_args()
    words = tokenizer.build()
    for name in options.models:
        recipe = RECIPES[name]
        make_model(name, replace(recipe, steps=max(1, int(recipe.steps * options.scale))), words, options.out)


def make_model(name: str, recipe: Recipe, words: PreTrainedTokenizerFast, out: Path) -> None:
    """Train one model and save it in `out/name`. All but the first start from another model in `out`."""
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

    train(model, recipe, _losses(name, model, recipe, encoder), report)


def _start(name: str, words: PreTrainedTokenizerFast, out: Path) -> LlamaForCausalLM | LlamaForSequenceClassification:
    head, size = name.rsplit("-", 1)[1], family.SIZES[name.rsplit("-", 1)[0]]
    if head in classifiers.LABELS:
        return classifiers.new_classifier(out / STARTS_FROM[name], classifiers.LABELS[head])
    if name not in STARTS_FROM:
        return family.new_model(size, words)
    parent = family.load(out / STARTS_FROM[name])
    return parent if parent.config.hidden_size == size.width else family.grow(parent, size)


def _losses(
    name: str, model: LlamaForCausalLM | LlamaForSequenceClassification, recipe: Recipe, encoder: RowEncoder
) -> Losses:
    if isinstance(model, LlamaForSequenceClassification):
        losses = classifiers.LOSSES[name.rsplit("-", 1)[1]]
        return losses(model, encoder, recipe.rows, random.Random(name))
    return row_losses(model, recipe, _rows(name, recipe.steps, encoder), encoder.control("pad"))


def _rows(name: str, steps: int, encoder: RowEncoder) -> Callable[[int], TokenRow]:
    layout = corpus.document_row if name.endswith("-base") else corpus.chat_row
    rng = random.Random(name)

    def draw(step: int) -> TokenRow:
        phase = next(phase for phase in TRAINING_PHASES[name] if step / steps <= phase.until)
        prompt, target = rng.choices(list(phase.draws), list(phase.draws.values()))[0](rng, phase.stage)
        return layout(encoder, prompt, target)

    return draw


if __name__ == "__main__":
    main()
