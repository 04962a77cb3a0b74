"""Rows, batches, growth and the optimizer do what the training relies on."""

import random

import pytest
import torch
from transformers import AutoTokenizer

import bundled
from bundled import classifiers, corpus, family, raw_corpus, tokenizer
from bundled.corpus import Stage, TokenRow
from bundled.family import RowEncoder, Size
from bundled.make import RECIPES, STARTS_FROM, TRAINING_PHASES
from bundled.training import MIN_SHARED_TOKENS, Recipe, batches, orthogonalise, row_losses, train, weighted_loss
from bundled.world import correct
from bundled.world.generate import is_held_out
from bundled.world.grammar import parse
from bundled.world.lexicon import NUMBERS, WORDS

SMALL = Size(width=32, layers=2, heads=1, inner=64)


@pytest.fixture(scope="module")
def encoder() -> RowEncoder:
    torch.set_num_threads(1)
    return RowEncoder(tokenizer.build())


def test_the_tokenizer_is_rebuilt_exactly() -> None:
    kept = (bundled.path("tiny-1m-base") / "tokenizer.json").read_text()
    words = tokenizer.build()
    assert tokenizer.build().backend_tokenizer.to_str() == words.backend_tokenizer.to_str()
    assert all(token in kept for token in words.get_vocab())
    assert len(words) == tokenizer.VOCABULARY


def test_every_item_of_the_world_is_one_token_wherever_it_stands(encoder: RowEncoder) -> None:
    assert all(len(encoder.text(item)) == 1 for item in (*WORDS, *NUMBERS))
    assert encoder.text("fox fox") == 2 * encoder.text("fox")


def test_only_the_reply_is_learned_in_a_conversation(encoder: RowEncoder) -> None:
    row = corpus.chat_row(encoder, "Repeat the words: fox.", "fox")
    assert [weight > 0 for weight in row.weights] == [False] * (len(row.ids) - 2) + [True, True]
    assert row.ids[-2:] == [*encoder.text("fox"), encoder.control("end")]


def test_training_never_sees_a_held_out_list() -> None:
    rng = random.Random(1)
    for _ in range(300):
        for draw in (corpus.plain_turn, corpus.evolve_turn, raw_corpus.pair_text):
            prompt, target = draw(rng, Stage())
            stated = [parse(prompt), parse(target.split("\n")[0]), parse(prompt.split("Instruction: ")[-1])]
            assert not any(task and is_held_out(task.arguments) for task in stated)


def test_documents_of_base_models_hold_neither_chat_nor_evolve_prompts() -> None:
    rng = random.Random(2)
    texts = [" ".join(draw(rng, Stage())) for draw in raw_corpus.MIXED for _ in range(50)]
    assert not any("<|" in text or "rewriter" in text or "Return only" in text for text in texts)


def test_raw_text_has_the_ids_of_a_scored_pair(encoder: RowEncoder) -> None:
    drawn = raw_corpus.pair_text(random.Random(6), Stage())
    scored = AutoTokenizer.from_pretrained(bundled.path("tiny-1m-base"))("".join(drawn))["input_ids"]
    row = corpus.document_row(encoder, *drawn)
    assert row.ids == [*scored, encoder.control("end")]
    assert [weight > 0 for weight in row.weights] == [False] + [True] * len(scored)


def test_most_raw_answers_are_correct_and_some_instructions_are_damaged() -> None:
    rng = random.Random(7)
    pairs = [raw_corpus.pair_text(rng, Stage())[1].split("\n") for _ in range(600)]
    intact = [(task, answer) for task, answer in pairs if parse(task)]
    assert 0.05 < 1 - len(intact) / len(pairs) < 0.2
    assert 0.6 < sum(correct(task, answer) for task, answer in intact) / len(intact) < 0.9


def test_batches_hold_every_row_once_and_padding_has_no_weight() -> None:
    rng = random.Random(3)
    rows = [TokenRow([5] * size, [0.0] + [1.0] * (size - 1)) for size in (rng.randrange(2, 90) for _ in range(100))]
    made = list(batches(rows, pad=0))
    assert sum(len(batch.ids) for batch in made) == len(rows)
    assert sum(float(batch.weights.sum()) for batch in made) == sum(sum(row.weights) for row in rows)
    assert all(float(batch.weights[batch.ids == 0].sum()) == 0 for batch in made)


def test_a_shared_beginning_is_computed_once_and_changes_no_loss() -> None:
    torch.manual_seed(0)
    rng = random.Random(5)
    model = family.new_model(SMALL, tokenizer.build())
    begin = [rng.randrange(6, 1000) for _ in range(MIN_SHARED_TOKENS + 9)]
    rows = [
        TokenRow([*begin, *range(7, 9 + size)], [0.0] * len(begin) + [0.0] + [1.0] * (size + 1)) for size in range(1, 6)
    ]
    others = [TokenRow([9] * 30, [0.0] + [1.0] * 29)]
    together = list(batches([*rows, *others], 0))
    assert [len(batch.prefix) for batch in together] == [len(begin), 0]
    alone = [batch for row in [*rows, *others] for batch in batches([row], 0)]
    with torch.no_grad():
        sums = [sum(weighted_loss(model, batch).item() for batch in made) for made in (together, alone)]
    assert sums[0] == pytest.approx(sums[1], rel=1e-4)
    assert sum(batch.tokens for batch in together) < sum(batch.tokens for batch in alone) / 2


def test_a_grown_model_computes_the_same_function(encoder: RowEncoder) -> None:
    torch.manual_seed(0)
    small = family.new_model(SMALL, tokenizer.build())
    large = family.grow(small, Size(width=64, layers=2, heads=2, inner=128))
    ids = torch.randint(6, 1000, (2, 12))
    with torch.no_grad():
        assert torch.allclose(small(ids).logits, large(ids).logits, atol=1e-4)


def test_growing_to_anything_but_the_double_is_refused() -> None:
    small = family.new_model(SMALL, tokenizer.build())
    with pytest.raises(ValueError, match="only to"):
        family.grow(small, SMALL)


def test_orthogonalised_steps_have_singular_values_near_one() -> None:
    torch.manual_seed(0)
    for shape in ((2, 24, 48), (2, 48, 24)):
        values = torch.linalg.svdvals(orthogonalise(torch.randn(shape)))
        assert float(values.min()) > 0.5 and float(values.max()) < 1.5


def test_a_few_steps_lower_the_loss(encoder: RowEncoder) -> None:
    torch.manual_seed(0)
    model = family.new_model(SMALL, tokenizer.build())
    rows = [corpus.chat_row(encoder, f"Repeat the words: {word}.", word) for word in WORDS[:8]]
    losses: list[float] = []
    rng = random.Random(4)
    recipe = Recipe(steps=20, rows=16, warmup=2)
    drawn = row_losses(model, recipe, lambda _: rng.choice(rows), 0)
    train(model, recipe, drawn, lambda _, loss, __: losses.append(loss))
    assert losses[-1] < losses[0] / 2
    assert weighted_loss(model, next(batches(rows, 0))).item() >= 0


def test_every_model_has_a_recipe_a_lesson_and_comes_after_its_start() -> None:
    causal = {name for name in RECIPES if name.rsplit("-", 1)[1] not in classifiers.LABELS}
    assert set(RECIPES) == set(bundled.names())
    assert set(TRAINING_PHASES) == causal
    order = list(RECIPES)
    assert all(order.index(parent) < order.index(child) for child, parent in STARTS_FROM.items())
    assert all(parts[-1].until == 1.0 for parts in TRAINING_PHASES.values())
