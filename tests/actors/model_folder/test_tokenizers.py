"""Tokenizers: read as their files describe them, and checked against the embeddings."""

from __future__ import annotations

import asyncio
import json
import shutil

import pytest
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from actors.engine import EngineSpec, GenerateRequest, LoadError, LogprobRequest, Sampling
from actors.engines.registry import create
from actors.inference.decoding.sampled_tokens import SampledTokens
from actors.inference.text_codec import TextEncoder
from actors.model_folder import tokenizer_file
from actors.model_folder.tokenizer_file import tokenizer_of
from actors.training.model import load_tokenizer
from actors.training.spec import TrainSpec

TEXT = "Tell me about rivers.\nNow."


def with_class(folder, target, name):
    shutil.copytree(folder, target)
    path = target / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"tokenizer_class": name, "legacy": True}))
    return target


@pytest.mark.parametrize("name", ["LlamaTokenizer", "LlamaTokenizerFast"])
def test_a_byte_level_tokenizer_under_another_name_is_read_from_its_file(name, model_folder, tokenizer, tmp_path):
    folder = str(with_class(model_folder, tmp_path / "model", name))
    expected = tokenizer(TEXT, add_special_tokens=False)["input_ids"]
    broken = AutoTokenizer.from_pretrained(folder)
    assert broken(TEXT, add_special_tokens=False)["input_ids"] != expected  # what this is about
    for loaded in (tokenizer_of(folder, None), load_tokenizer(TrainSpec(folder))):
        assert loaded(TEXT, add_special_tokens=False)["input_ids"] == expected
        assert loaded.decode(expected) == TEXT
        assert (loaded.eos_token, loaded.pad_token) == (tokenizer.eos_token, tokenizer.pad_token)
        assert loaded.chat_template == tokenizer.chat_template
        loaded.save_pretrained(tmp_path / "student")
        assert AutoTokenizer.from_pretrained(tmp_path / "student").decode(expected) == TEXT


def test_a_tokenizer_that_differs_from_its_file_in_every_way_is_refused(model_folder, monkeypatch):
    monkeypatch.setattr(tokenizer_file, "_difference", lambda tokenizer, reference: TEXT)
    with pytest.raises(LoadError, match=r"encodes 'Tell me about rivers.* in another way than its tokenizer.json"):
        tokenizer_of(str(model_folder), None)


def folder_of(tokenizer, rows, target):
    """A tiny model with `rows` embeddings."""
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    LlamaForCausalLM(LlamaConfig(vocab_size=rows, **sizes, initializer_range=0.3)).save_pretrained(target)
    tokenizer.save_pretrained(target)
    return str(target)


@pytest.fixture
def own_tokenizer(model_folder):
    """A tokenizer that the test may change."""
    return AutoTokenizer.from_pretrained(model_folder)


def requests():
    texts = ["one", "one two three four", "a b"]
    asked = [GenerateRequest(text, (("user", text),), Sampling(max_tokens=6)) for text in texts]
    return asked, [LogprobRequest(text, text, " more " * len(text)) for text in texts]


def ask(engine):
    async def gather():
        asked, scored = requests()
        return await asyncio.gather(*map(engine.generate, asked), *map(engine.logprobs, scored))

    try:
        return asyncio.run(gather())
    finally:
        engine.close()


def test_a_padding_token_outside_the_embeddings_is_replaced(own_tokenizer, tmp_path):
    rows = len(own_tokenizer)
    own_tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    folder = folder_of(own_tokenizer, rows, tmp_path / "model")
    assert len(ask(create(EngineSpec("transformers", folder, max_length=200)))) == 6


def test_unused_special_tokens_need_no_embedding(own_tokenizer, tmp_path):
    rows = len(own_tokenizer)
    own_tokenizer.add_tokens(["<|image|>"], special_tokens=True)
    ask(create(EngineSpec("transformers", folder_of(own_tokenizer, rows, tmp_path / "model"), max_length=200)))


def test_tokens_of_the_template_need_an_embedding(own_tokenizer, tmp_path):
    rows = len(own_tokenizer)
    own_tokenizer.add_tokens(["<|turn|>", "<|unused|>"], special_tokens=True)
    own_tokenizer.chat_template = "{% for m in messages %}<|turn|>{{ m.content }}{% endfor %}"
    folder = folder_of(own_tokenizer, rows, tmp_path / "model")
    message = rf"the tokenizer has {rows + 2} tokens, the embeddings {rows}: <\|turn\|> has no embedding"
    for engine in ("transformers", "vllm"):
        with pytest.raises(LoadError, match=message):
            create(EngineSpec(engine, folder))


def test_tokens_of_ordinary_text_need_an_embedding(own_tokenizer, tmp_path):
    folder = folder_of(own_tokenizer, len(own_tokenizer) - 5, tmp_path / "model")
    with pytest.raises(LoadError, match=r"the embeddings \d+: .* and 2 more have no embedding"):
        create(EngineSpec("transformers", folder))


def test_padded_embeddings_are_fine_and_ids_without_a_token_are_no_text(own_tokenizer, tmp_path):
    ask(create(EngineSpec("transformers", folder_of(own_tokenizer, 400, tmp_path / "model"), max_length=200)))
    text = TextEncoder(own_tokenizer, 100, frozenset(), 0)
    known = own_tokenizer("ab", add_special_tokens=False)["input_ids"]
    reply = text.to_generation("r", 3, SampledTokens([*known, 399, 350], stopped=False))
    assert (reply.text, reply.tokens_out) == ("ab", len(known) + 2)
