"""Rows for training: what is kept, what counts towards the loss, and in which order."""

from __future__ import annotations

import copy

import pytest

from actors.chat import IGNORED, PLAIN_TEMPLATE, encode_chat
from actors.sft_data import encode_pair, encode_pairs, lengths_after_cutoff
from actors.train_model import load_tokenizer
from actors.train_spec import TrainSpec


@pytest.mark.parametrize(
    ("source", "target", "kept"),
    [
        (3000, 500, (1548, 500)),
        (500, 3000, (500, 1548)),
        (2000, 2000, (1024, 1024)),
        (1500, 1500, (1024, 1024)),
        (100, 100, (100, 100)),
    ],
)
def test_cutoff_as_in_llama_factory(source: int, target: int, kept: tuple[int, int]) -> None:
    assert lengths_after_cutoff(source, target, 2048) == kept


def test_only_the_response_and_its_end_have_labels(tokenizer) -> None:
    example = encode_pair(tokenizer, "Name a word.", "apple", 256)
    assert example is not None
    learned = [label for label in example["labels"] if label != IGNORED]
    assert tokenizer.decode(learned) == "apple<|im_end|>"
    assert example["input_ids"][-len(learned) :] == learned


def test_a_long_row_keeps_the_starts_of_prompt_and_response(tokenizer) -> None:
    whole = encode_pair(tokenizer, "lazy dog " * 30, "quick fox " * 30, 10_000)
    short = encode_pair(tokenizer, "lazy dog " * 30, "quick fox " * 30, 64)
    assert whole is not None and short is not None
    assert len(short["input_ids"]) == len(short["labels"]) == 64
    prompt = short["labels"].count(IGNORED)
    assert short["input_ids"][:prompt] == whole["input_ids"][:prompt]
    start = whole["labels"].count(IGNORED)
    assert short["labels"][prompt:] == whole["labels"][start : start + 64 - prompt]


def test_rows_without_a_response_are_dropped_and_counted(tokenizer) -> None:
    data = encode_pairs(tokenizer, ["a", "b", "c"], ["one", "", " \n"], 256)
    assert (len(data.examples), data.dropped) == (1, 2)
    assert data.tokens == len(data.examples[0]["input_ids"])


TEMPLATES = {
    "a default system prompt": "{% if messages[0].role != 'system' %}<|im_start|>system\nBe good."
    "<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
    "another name for the assistant": "{{ bos_token }}{% for m in messages %}<|im_start|>"
    "{{ 'model' if m.role == 'assistant' else m.role }}\n{{ m.content | trim }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>model\n{% endif %}",
    "no turn's end of its own": "{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
    "{% else %} {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}",
    "no prompt for the assistant": "{% for m in messages %}{{ m.role }}: {{ m.content }}{{ eos_token }}\n{% endfor %}",
    "generation markers": "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}"
    "<|im_end|>{% endgeneration %}{% else %}<|im_start|>{{ m.content }}<|im_end|>{% endif %}{% endfor %}",
    "none": PLAIN_TEMPLATE,
}


@pytest.mark.parametrize("template", TEMPLATES)
def test_only_the_answer_and_its_end_are_learned_under_any_template(tokenizer, template: str) -> None:
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.chat_template = TEMPLATES[template]
    example = encode_pair(tokenizer, "Name a word.", "apple<|im_end|>", 256)
    assert example is not None
    prompt = encode_chat(tokenizer, [("user", "Name a word.")], add_generation_prompt=True)
    assert example["input_ids"][: len(prompt)] == prompt, "what the student will be asked"
    assert example["labels"][: len(prompt)] == [IGNORED] * len(prompt)
    assert example["labels"][len(prompt) :] == example["input_ids"][len(prompt) :]
    assert tokenizer.decode(example["labels"][len(prompt) :]) == "apple<|im_end|><|im_end|>"
    assert example["labels"].count(tokenizer.eos_token_id) == 1, "the answer's own is text"


def test_a_base_without_a_template_gets_the_plain_one(tokenizer, model_folder, tmp_path) -> None:
    bare = copy.deepcopy(tokenizer)
    bare.chat_template = None
    bare.save_pretrained(tmp_path)
    loaded = load_tokenizer(TrainSpec(str(tmp_path)))
    turns = [{"role": "user", "content": "Name a word."}, {"role": "assistant", "content": "apple"}]
    assert loaded.apply_chat_template(turns, tokenize=False) == (
        "<|bos|>Human: Name a word.<|im_end|>\nAssistant:apple<|im_end|>\n"
    )
    assert load_tokenizer(TrainSpec(str(model_folder))).chat_template == tokenizer.chat_template
