"""Log-probabilities of given tokens against the plain softmax of one row at a time."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import Gemma2Config, Gemma2ForCausalLM, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from actors.inference import logprobs as scoring
from actors.inference.logprobs import has_plain_head, head_logprobs, token_logprobs

SIZES: dict[str, Any] = {
    "vocab_size": 60,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
}
ROWS = [[1, 5, 9, 3, 30, 59], [7], [1, 2], [4, 4, 4, 4], [58, 0, 3, 2, 1]]


def models() -> dict[str, Any]:
    torch.manual_seed(0)
    capped = Gemma2Config(**SIZES, head_dim=8, final_logit_softcapping=2.0, initializer_range=0.5)
    return {
        "llama": LlamaForCausalLM(LlamaConfig(**SIZES, initializer_range=0.5)).eval(),
        "gpt2": GPT2LMHeadModel(GPT2Config(vocab_size=60, n_embd=16, n_layer=2, n_head=2)).eval(),
        "capped logits": Gemma2ForCausalLM(capped).eval(),
    }


@pytest.mark.parametrize("name", ["llama", "gpt2", "capped logits"])
def test_rows_of_any_length_get_their_models_log_probabilities(name: str) -> None:
    model, passes = models()[name], []
    got = token_logprobs(model, ROWS, 0, lambda: passes.append(1))
    assert passes
    for row, values in zip(ROWS, got, strict=True):
        with torch.inference_mode():
            logprobs = model(torch.tensor([row])).logits[0].log_softmax(-1)
        expected = [float(logprobs[i - 1, row[i]]) for i in range(1, len(row))]
        assert values[0] is None and list(values[1:]) == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_a_model_that_caps_its_logits_is_known_by_them() -> None:
    assert {name: has_plain_head(model) for name, model in models().items()} == {
        "llama": True,
        "gpt2": True,
        "capped logits": False,
    }


def test_rows_of_like_length_share_a_pass() -> None:
    lengths = [3, 90, 4, 100, 2, 5, 600]
    groups = scoring.batches_by_length(lengths, 200)
    assert [[lengths[place] for place in group] for group in groups] == [[2, 3, 4, 5], [90, 100], [600]]
    assert [lengths[place] for place in scoring.batches_by_length(lengths, None)[0]] == sorted(lengths)


@pytest.mark.parametrize("bias", [False, True])
def test_tiles_of_positions_and_vocabulary_make_the_whole(bias: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "CPU_VOCAB_TILE", (7, 13))
    torch.manual_seed(0)
    head, hidden, tokens = torch.nn.Linear(8, 50, bias), 20 * torch.randn(30, 8), torch.randint(0, 50, (30,))
    with torch.inference_mode():
        expected = head(hidden).log_softmax(1).gather(1, tokens[:, None])[:, 0]
        assert torch.allclose(head_logprobs(head, hidden, tokens), expected, rtol=1e-5, atol=1e-5)


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
        assert torch.allclose(head_logprobs(head, hidden, tokens), expected, rtol=1e-3, atol=1e-5)
        if top > 20:  # less than what logits that are rounded to bfloat16 can show
            assert 0 < -expected.mean() < 0.02


def test_a_batch_is_never_held_as_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    model, shapes, linear = models()["llama"], set[int](), torch.nn.functional.linear

    def watched(*given: Any) -> torch.Tensor:
        made = linear(*given)
        shapes.add(made.numel())
        return made

    monkeypatch.setattr(scoring, "CPU_VOCAB_TILE", (4, 10))
    monkeypatch.setattr(torch.nn.functional, "linear", watched)
    has_plain_head(model)
    shapes.clear()
    token_logprobs(model, [ROWS[0]] * 50, 0, lambda: None)
    assert 4 * 10 in shapes and 50 * 6 * 60 not in shapes
