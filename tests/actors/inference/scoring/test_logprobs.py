"""Log-probabilities of given tokens against the plain softmax of one row at a time."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from transformers import (
    FalconMambaConfig,
    FalconMambaForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
)

from actors.inference.scoring import head as scoring_head
from actors.inference.scoring.head import has_plain_head, head_scores
from actors.inference.scoring.logprobs import can_pack, even_groups, padded_groups, score_tokens

SIZES: dict[str, Any] = {
    "vocab_size": 60,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
}
ROWS = [[1, 5, 9, 3, 30, 59], [7], [1, 2], [4, 4, 4, 4], [58, 0, 3, 2, 1]]


PACKABLE = {"llama": True, "gpt2": True, "capped logits": False, "windows": False, "state": False}


def row_logprobs(*given: Any) -> list[tuple[float | None, ...]]:
    return [row.logprobs for row in score_tokens(*given)]


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    torch.manual_seed(0)
    capped = Gemma2Config(**SIZES, head_dim=8, final_logit_softcapping=2.0, initializer_range=0.5)
    windows = MistralConfig(**SIZES, sliding_window=4, initializer_range=0.5)
    state = FalconMambaConfig(vocab_size=60, hidden_size=16, num_hidden_layers=2, state_size=4)
    return {
        "llama": LlamaForCausalLM(LlamaConfig(**SIZES, initializer_range=0.5)).eval(),
        "gpt2": GPT2LMHeadModel(GPT2Config(vocab_size=60, n_embd=16, n_layer=2, n_head=2)).eval(),
        "capped logits": Gemma2ForCausalLM(capped).eval(),
        "windows": MistralForCausalLM(windows).eval(),
        "state": FalconMambaForCausalLM(state).eval(),
    }


@pytest.mark.parametrize("name", PACKABLE)
def test_rows_of_any_length_get_their_models_log_probabilities(models: dict[str, Any], name: str) -> None:
    model, passes = models[name], []
    got = row_logprobs(model, ROWS, 0, lambda: passes.append(1))
    assert passes
    for row, values in zip(ROWS, got, strict=True):
        with torch.inference_mode():
            logprobs = model(torch.tensor([row])).logits[0].log_softmax(-1)
        expected = [float(logprobs[i - 1, row[i]]) for i in range(1, len(row))]
        assert values[0] is None and list(values[1:]) == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("name", PACKABLE)
def test_the_rank_of_a_token_is_one_plus_the_number_of_more_likely_ones(models: dict[str, Any], name: str) -> None:
    model = models[name]
    scored = score_tokens(model, ROWS, 0, lambda: None, True)
    assert [row.logprobs for row in scored] == row_logprobs(model, ROWS, 0, lambda: None)
    for row, found in zip(ROWS, scored, strict=True):
        with torch.inference_mode():
            logits = model(torch.tensor([row])).logits[0]
        expected = [1 + int((logits[i - 1] > logits[i - 1, row[i]] + 1e-4).sum()) for i in range(1, len(row))]
        assert found.ranks == (None, *expected)


@pytest.mark.parametrize("tile", [(512, 512), (2, 7)])
def test_equal_logits_share_the_better_rank(monkeypatch: pytest.MonkeyPatch, tile: tuple[int, int]) -> None:
    monkeypatch.setattr(scoring_head, "CPU_TILE", tile)
    torch.manual_seed(0)
    head = torch.nn.Linear(8, 40, bias=True)
    with torch.inference_mode():
        head.weight[20:] = head.weight[:20]  # every token has a twin
        head.bias[20:] = head.bias[:20]
        hidden, tokens = torch.randn(6, 8), torch.tensor([0, 20, 7, 27, 39, 19])
        found = head_scores(head, hidden, tokens, True)
        halves = head(hidden)[:, :20]
    better = [int((row > row[token % 20]).sum()) for row, token in zip(halves, tokens, strict=True)]
    assert found.ranks is not None
    assert found.ranks.tolist() == [1 + 2 * count for count in better]
    assert head_scores(head, hidden, tokens).ranks is None


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", sorted(PACKABLE.keys() - {"state"}))
def test_the_bits_of_a_row_do_not_depend_on_its_batch(models: dict[str, Any], name: str, threads: int) -> None:
    draw = random.Random(0)
    rows = [[draw.randrange(60) for _ in range(draw.choice((1, 2, 3, 9, 40, 150, 600)))] for _ in range(18)]
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        whole = row_logprobs(models[name], rows, 0, lambda: None)
        assert [row_logprobs(models[name], [row], 0, lambda: None)[0] for row in rows] == whole
        for size in (2, 5, 11):
            order = draw.sample(range(18), 18)
            parts = [order[start : start + size] for start in range(0, 18, size)]
            for part in parts:
                again = row_logprobs(models[name], [rows[place] for place in part], 0, lambda: None)
                assert again == [whole[place] for place in part]
    finally:
        torch.set_num_threads(before)


def test_models_whose_rows_would_see_each_other_are_known_by_their_hidden_states(models: dict[str, Any]) -> None:
    assert {name: can_pack(model) for name, model in models.items()} == PACKABLE
    assert models["llama"].config._attn_implementation == "sdpa"  # as for generation


def test_a_model_that_caps_its_logits_is_known_by_them(models: dict[str, Any]) -> None:
    assert {name for name, model in models.items() if not has_plain_head(model)} == {"capped logits"}


def test_rows_of_like_length_share_a_pass() -> None:
    lengths = [3, 90, 4, 100, 2, 5, 600]
    order = sorted(range(7), key=lengths.__getitem__)

    def grouped(limit: int | None, one_width: bool) -> list[list[int]]:
        return [[lengths[place] for place in group] for group in padded_groups(order, lengths, limit, one_width)]

    assert grouped(210, one_width=False) == [[2, 3, 4, 5], [90, 100], [600]]
    assert grouped(None, one_width=False) == [sorted(lengths)]
    assert grouped(210, one_width=True) == [[2, 3, 4, 5], [90], [100], [600]]


def test_packed_passes_have_like_numbers_of_tokens() -> None:
    lengths = [*range(10, 110)]
    groups = even_groups(range(100), lengths, 512)
    tokens = [sum(lengths[place] for place in group) for group in groups]
    assert [place for group in groups for place in group] == [*range(100)]
    assert len(groups) == 12 and min(tokens) > 380 and max(tokens) < 620
    assert even_groups([0], [9000], 512) == [[0]] and even_groups([], [], 512) == []


def test_a_token_of_next_to_no_probability_has_a_finite_loss() -> None:
    head, hidden = torch.nn.Linear(8, 50), torch.ones(3, 8)
    with torch.inference_mode():
        head.weight[7] = 100.0
        tokens = torch.tensor([7, 0, 49])
        expected = head(hidden).log_softmax(1).gather(1, tokens[:, None])[:, 0]
        got = head_scores(head, hidden, tokens).logprobs
    assert expected.min() < -700 and torch.allclose(got, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("bias", [False, True])
def test_tiles_of_positions_and_vocabulary_make_the_whole(bias: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring_head, "CPU_TILE", (7, 13))
    torch.manual_seed(0)
    head, hidden, tokens = torch.nn.Linear(8, 50, bias), 20 * torch.randn(30, 8), torch.randint(0, 50, (30,))
    with torch.inference_mode():
        expected = head(hidden).log_softmax(1).gather(1, tokens[:, None])[:, 0]
        assert torch.allclose(head_scores(head, hidden, tokens).logprobs, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("top", [8.0, 24.0, 30.0])
def test_a_bfloat16_head_keeps_the_small_losses_of_confident_tokens(top: float) -> None:
    torch.manual_seed(0)
    vocabulary, width, count = 4000, 512, 256
    exact = torch.nn.Linear(width, vocabulary, bias=False)
    exact.weight.data = (torch.randn(vocabulary, width) / width**0.5).bfloat16().float()
    tokens = torch.randint(0, vocabulary, (count,))
    hidden = (exact.weight.data[tokens] * top + 3 * torch.randn(count, width)).bfloat16()
    head = torch.nn.Linear(width, vocabulary, bias=False, dtype=torch.bfloat16)
    head.weight.data = exact.weight.data.bfloat16()
    with torch.inference_mode():
        expected = exact(hidden.float()).log_softmax(1).gather(1, tokens[:, None])[:, 0]
        assert torch.allclose(head_scores(head, hidden, tokens).logprobs, expected, rtol=1e-3, atol=1e-5)
        if top > 20:  # less than what logits that are rounded to bfloat16 can show
            assert 0 < -expected.mean() < 0.02


def test_a_batch_is_never_held_as_logits(models: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    model, shapes, addmm = models["llama"], set[int](), torch.addmm

    def watched(*given: Any, **options: Any) -> torch.Tensor:
        made = addmm(*given, **options)
        shapes.add(made.numel())
        return made

    monkeypatch.setattr(scoring_head, "CPU_TILE", (40, 10))
    monkeypatch.setattr(torch, "addmm", watched)
    row_logprobs(model, [ROWS[0]] * 48, 0, lambda: None)
    assert shapes == {40 * 10}
