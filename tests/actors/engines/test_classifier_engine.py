"""The classifier engine against one forward pass for each row, over the heads that models come with."""

from __future__ import annotations

import asyncio
import json
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers.processors import TemplateProcessing
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer, BertConfig, LlamaConfig

from actors.engine import (
    ClassifyRequest,
    EngineSpec,
    GenerateRequest,
    LoadError,
    LogprobRequest,
    RequestError,
    Sampling,
)
from actors.engines.registry import create
from actors.inference.chat_template import encode_chat

NLI = ("entailment", "neutral", "contradiction")
WORDS = "river stone light water garden music number letter".split()
TALK = (("user", "Name a river."), ("assistant", "The Nile."))


def save(config, folder: Path, tokenizer) -> Path:
    torch.manual_seed(0)
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def llama(tokenizer, **changes):
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    tokens = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id, "initializer_range": 0.2}
    return LlamaConfig(**sizes | tokens | {"num_labels": 1, "max_position_embeddings": 256} | changes)


@pytest.fixture(scope="module")
def reward_folder(tokenizer, tmp_path_factory) -> Path:
    """A decoder with one logit, as Skywork-Reward is."""
    return save(llama(tokenizer), tmp_path_factory.mktemp("reward"), tokenizer)


@pytest.fixture(scope="module")
def pair_tokenizer(tokenizer, tmp_path_factory):
    """The tokenizer with an end after each text of a pair, and types."""
    folder = tmp_path_factory.mktemp("pairs")
    tokenizer.save_pretrained(folder)
    paired = AutoTokenizer.from_pretrained(folder, model_input_names=["input_ids", "token_type_ids", "attention_mask"])
    paired.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|bos|> $A <|im_end|>",
        pair="<|bos|> $A <|im_end|> $B:1 <|im_end|>:1",
        special_tokens=[(name, paired.convert_tokens_to_ids(name)) for name in ("<|bos|>", "<|im_end|>")],
    )
    return paired


@pytest.fixture(scope="module")
def nli_folder(pair_tokenizer, tmp_path_factory) -> Path:
    """An encoder with three labels, which tells the texts of a pair apart."""
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = BertConfig(
        **sizes,
        vocab_size=len(pair_tokenizer),
        pad_token_id=pair_tokenizer.pad_token_id,
        max_position_embeddings=128,
        initializer_range=0.5,
        id2label=dict(enumerate(NLI)),
        label2id={name: number for number, name in enumerate(NLI)},
    )
    return save(config, tmp_path_factory.mktemp("nli"), pair_tokenizer)


def engine_on(folder: Path, **options):
    return create(EngineSpec("classifier", str(folder), max_length=200, options=tuple(options.items())))


@pytest.fixture(scope="module")
def reward(reward_folder):
    engine = engine_on(reward_folder)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def nli(nli_folder):
    engine = engine_on(nli_folder)
    yield engine
    engine.close()


def together(engine, requests):
    async def gather():
        return await asyncio.gather(*map(engine.classify, requests), return_exceptions=True)

    return asyncio.run(gather())


def alone(folder: Path, **inputs) -> list[float]:
    """The logits of one row by the plain model."""
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.inference_mode():
        return model(**{name: torch.tensor([ids]) for name, ids in inputs.items()}).logits[0].tolist()


def talk(i: int) -> tuple[tuple[str, str], ...]:
    return ("user", " ".join(WORDS[: i % 8 + 1])), ("assistant", "yes " * (i + 1))


def test_a_conversations_reward_is_its_logit_under_the_chat_template_whatever_shares_the_batch(
    reward, reward_folder, tokenizer
):
    requests = [ClassifyRequest(f"r{i}", messages=talk(i)) for i in range(12)]
    got = together(reward, requests)
    assert [one.id for one in got] == [f"r{i}" for i in range(12)]
    for request, one in zip(requests, got, strict=True):
        ids = encode_chat(tokenizer, request.messages, add_generation_prompt=False)
        (expected,) = alone(reward_folder, input_ids=ids)
        assert one.logits == (pytest.approx(expected, abs=1e-5),)
        assert (one.reward, one.tokens_in, one.labels) == (one.logits[0], len(ids), ("LABEL_0",))
    assert len({round(one.reward, 4) for one in got}) == 12


def test_a_pairs_logits_come_with_the_labels_of_the_config(nli, nli_folder, pair_tokenizer):
    requests = [ClassifyRequest(f"p{i}", "river " * (i + 1), "stone " * (9 - i)) for i in range(9)]
    for request, one in zip(requests, together(nli, requests), strict=True):
        encoded = pair_tokenizer(request.text, request.pair)
        assert set(encoded["token_type_ids"]) == {0, 1}
        assert one.logits == pytest.approx(alone(nli_folder, **encoded), abs=1e-5)
        assert (one.labels, one.reward) == (NLI, None)


def test_the_second_text_of_a_pair_is_not_the_end_of_the_first(nli):
    pair, text = together(nli, [ClassifyRequest("p", "river", "stone"), ClassifyRequest("t", "riverstone")])
    assert pair.logits != pytest.approx(text.logits, abs=1e-3)


def test_text_pairs_and_conversations_overlap(nli):
    kinds = [{"text": "river"}, {"text": "river", "pair": "stone"}, {"messages": TALK}]
    requests = [ClassifyRequest(f"{i}", **kinds[i % 3]) for i in range(9)]
    got = together(nli, requests)
    for i, one in enumerate(got):
        assert one.logits == pytest.approx(got[i % 3].logits, abs=1e-5)


def test_content_is_never_read_as_control_tokens(nli, reward):
    texts = ["a b", "a<|im_end|>b"]
    forms = [[{"text": text} for text in texts], [{"text": "a", "pair": text} for text in texts]]
    for plain, hostile in forms:
        got = together(nli, [ClassifyRequest("p", **plain), ClassifyRequest("h", **hostile)])
        assert got[1].tokens_in - got[0].tokens_in >= len("<|im_end|>") // 2
    got = together(reward, [ClassifyRequest("m", messages=(("user", text),)) for text in texts])
    assert got[1].tokens_in - got[0].tokens_in >= len("<|im_end|>") // 2


def test_what_does_not_fit_is_refused_and_the_rest_is_not(reward):
    requests = [ClassifyRequest("a", "river"), ClassifyRequest("b", "river " * 200), ClassifyRequest("c", "stone")]
    first, error, last = together(reward, requests)
    assert isinstance(error, RequestError) and error.reason == "too_long"
    assert (first.id, last.id) == ("a", "c")


def test_positions_bound_the_length_below_that_of_the_study(nli):
    (error,) = together(nli, [ClassifyRequest("a", "z" * 150)])
    assert isinstance(error, RequestError) and "the model takes 128" in error.detail


def test_an_option_names_the_reward_among_several_logits(nli_folder):
    engine = engine_on(nli_folder, reward_index=2)
    (got,) = together(engine, [ClassifyRequest("a", "river", "stone")])
    engine.close()
    assert got.reward == got.logits[2]
    with pytest.raises(ValueError, match="reward_index 3: the model has 3 logits: entailment, neutral"):
        engine_on(nli_folder, reward_index=3)


def test_a_model_without_a_padding_token_takes_rows_of_any_length(tokenizer, tmp_path, reward_folder):
    folder = save(llama(tokenizer, pad_token_id=None), tmp_path / "unpadded", tokenizer)
    engine = engine_on(folder)
    got = together(engine, [ClassifyRequest(f"r{i}", messages=talk(i)) for i in range(5)])
    engine.close()
    for i, one in enumerate(got):
        ids = encode_chat(tokenizer, talk(i), add_generation_prompt=False)
        assert one.logits == pytest.approx(alone(folder, input_ids=ids), abs=1e-5)


def test_logits_are_the_same_after_sleep(reward):
    requests = [ClassifyRequest(f"r{i}", messages=talk(i)) for i in range(4)]

    async def nap():
        await reward.sleep()
        await reward.wake()

    before = together(reward, requests)
    asyncio.run(nap())
    assert together(reward, requests) == before


def test_progress_changes_while_a_request_is_at_work(reward):
    before = reward.progress()
    together(reward, [ClassifyRequest("a", "river")])
    assert reward.progress() != before


def test_a_classifier_writes_no_text(reward):
    sent = [reward.generate(GenerateRequest("g", TALK, Sampling())), reward.logprobs(LogprobRequest("l", "", "a"))]
    for call in sent:
        with pytest.raises(RequestError) as caught:
            asyncio.run(call)
        assert caught.value.reason == "unsupported"


def test_a_causal_model_is_no_classifier(model_folder):
    with pytest.raises(LoadError, match=r"no weights for score\.weight"):
        engine_on(model_folder)


def with_head(source: Path, folder: Path, head, **settings) -> Path:
    """A copy of a checkpoint with another head, which `head` makes of its own; `settings` go into the config."""
    shutil.copytree(source, folder)
    weights = load_file(folder / "model.safetensors")
    score = weights.pop("score.weight")
    save_file(weights | head(score), folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | settings))
    return folder


def test_a_head_of_another_name_is_named_in_the_error(reward_folder, tmp_path):
    folder = with_head(reward_folder, tmp_path / "foreign", lambda score: {"judge.weight": score})
    with pytest.raises(LoadError, match=r"for score\.weight; it has unknown weights for judge\.weight"):
        engine_on(folder)


def test_a_value_head_is_read_at_the_reward_token(reward_folder, tmp_path, tokenizer):
    """As InternLM's reward models: the row v_head, and a token behind the conversation."""
    end = tokenizer.convert_tokens_to_ids("<|im_start|>")
    head = {"reward_token_id": end, "id2label": {"0": "a", "1": "b"}}  # without num_labels, transformers assumes two
    folder = with_head(reward_folder, tmp_path / "value", lambda score: {"v_head.weight": score}, **head)
    engine = engine_on(folder)
    *got, text = together(
        engine, [*(ClassifyRequest(f"r{i}", messages=talk(i)) for i in range(5)), ClassifyRequest("t", "river")]
    )
    engine.close()
    for i, one in enumerate(got):
        ids = encode_chat(tokenizer, talk(i), add_generation_prompt=False)
        assert one.logits == pytest.approx(alone(reward_folder, input_ids=[*ids, end]), abs=1e-5)
        assert one.reward == one.logits[0]
    assert isinstance(text, RequestError) and text.reason == "unsupported"


def gated_head(score: torch.Tensor) -> dict[str, torch.Tensor]:
    """Four objectives and a gate of three layers, as ArmoRM has nineteen and four."""
    torch.manual_seed(1)
    sizes = [score.shape[1], 16, 16, 4]
    gate = {}
    for number, (inner, outer) in enumerate(pairwise(sizes)):
        gate[f"gating.layers.{number}.weight"] = torch.randn(outer, inner)
        gate[f"gating.layers.{number}.bias"] = torch.randn(outer)
    transform = torch.eye(4) - 0.3 * torch.rand(4, 4).triu(1)
    objectives = {"regression_layer.weight": torch.randn(4, sizes[0]), "reward_transform_matrix": transform}
    return gate | objectives | {"gating.logit_scale": torch.tensor([1.5])}


def gated_score(folder: Path, head, ids: list[int], prompt: int, temperature: float) -> float:
    """The definition, for one row: rewards at the last token, corrected, weighed by the gate at the prompt's end."""
    with torch.inference_mode():
        hidden = AutoModel.from_pretrained(folder).eval()(torch.tensor([ids])).last_hidden_state[0]
        gate = hidden[prompt - 1]
        for number in range(3):
            gate = head[f"gating.layers.{number}.weight"] @ gate + head[f"gating.layers.{number}.bias"]
            gate = gate.relu() if number < 2 else gate
        weights = (gate / temperature).softmax(0) * head["gating.logit_scale"]
        rewards = (head["regression_layer.weight"] @ hidden[-1]) @ head["reward_transform_matrix"]
        return float((weights * rewards).sum())


@pytest.mark.parametrize("settings", [{}, {"gating_temperature": 2.0}])
def test_armorms_score_weighs_objectives_by_what_the_gate_read_in_the_prompt(
    reward_folder, tmp_path, tokenizer, settings
):
    folder = with_head(reward_folder, tmp_path / "gated", gated_head, **settings)
    engine = engine_on(folder)
    requests = [ClassifyRequest(f"r{i}", messages=talk(i)) for i in range(6)]
    *got, text = together(engine, [*requests, ClassifyRequest("t", "river")])
    engine.close()
    head = gated_head(torch.zeros(1, 32))
    for i, one in enumerate(got):
        ids = encode_chat(tokenizer, talk(i), add_generation_prompt=False)
        prompt = len(encode_chat(tokenizer, talk(i)[:1], add_generation_prompt=False))
        expected = gated_score(folder, head, ids, prompt, settings.get("gating_temperature", 10.0))
        assert one.reward == pytest.approx(expected, abs=1e-4) and one.logits == (one.reward,)
    assert isinstance(text, RequestError) and text.reason == "unsupported"


def test_a_gate_of_another_form_is_refused(reward_folder, tmp_path):
    extra = {"gating.layers.1.running_mean": torch.zeros(16)}
    folder = with_head(reward_folder, tmp_path / "quantiles", lambda score: gated_head(score) | extra)
    with pytest.raises(ValueError, match="are not those of ArmoRM's gate"):
        engine_on(folder)


def test_a_folders_own_code_is_never_run(tmp_path, tokenizer):
    tokenizer.save_pretrained(tmp_path)
    config = '{"model_type": "homemade", "auto_map": {"AutoConfig": "evil.Config", "AutoModel": "evil.Model"}}'
    (tmp_path / "config.json").write_text(config)
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(LoadError, match="code in its own folder, which is never run"):
        engine_on(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_a_request_is_either_text_or_messages():
    with pytest.raises(ValueError, match="either messages or text"):
        ClassifyRequest("r", "river", messages=TALK)
