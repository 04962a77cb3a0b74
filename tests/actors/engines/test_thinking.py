"""Thinking models: engines separate thoughts from replies; students are used in the template that they learned in."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from actors.engine import EngineSpec, Generation, LoadError, LogprobRequest
from actors.inference.chat_template import IGNORED, encode_chat, encode_example, set_template
from actors.inference.decoding.sampled_tokens import SampledTokens
from actors.inference.model_loading import load_tokenizer
from actors.inference.scored_texts import to_scored_texts
from actors.inference.text_codec import TextEncoder
from actors.training import model as training
from actors.training.batches import encode_rows
from actors.training.spec import TrainRow, TrainSpec
from pipelines.study.inputs.models import evaluated_spec
from pipelines.study.spec.study import Study

TURNS = "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
PROMPT = "{% if add_generation_prompt %}<|im_start|>assistant\n{{ opening }}{% endif %}"
OPENING = f"{TURNS}{PROMPT.replace('{{ opening }}', '<think>{{ chr }}')}".replace("{{ chr }}", "\n")
SWITCH = TURNS + PROMPT.replace(
    "{{ opening }}",
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}",
)
DATED = "Today: {{ strftime_now('%d %b %Y') }}\n" + TURNS + PROMPT.replace("{{ opening }}", "")
TAGS = {"special": True, "added": False}  # how the tokenizer has its tags; None: as plain text
QUESTION = [("user", "Name a word.")]


@pytest.fixture(params=[True, False, None], ids=["special tags", "added tags", "tags as text"])
def thinker(tokenizer: Any, request: pytest.FixtureRequest) -> Any:
    """A tokenizer whose template opens the thoughts."""
    changed = copy.deepcopy(tokenizer)
    if request.param is not None:
        changed.add_tokens(["<think>", "</think>"], special_tokens=request.param)
    changed.chat_template = OPENING
    return changed


def generated(tokenizer: Any, text: str, stopped: bool = True, logprobs: bool = False) -> tuple[Generation, list[int]]:
    """What the engines make of these tokens; the log-probability of each is its position."""
    tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
    values = tuple(float(i) for i in range(len(tokens))) if logprobs else None
    encoder = TextEncoder(tokenizer, 256)
    return encoder.to_generation("r", 3, SampledTokens(tokens, stopped, values)), tokens


def test_a_reply_begins_within_the_thoughts_that_the_prompt_opens(thinker: Any) -> None:
    got, tokens = generated(thinker, "Hm, so.\n</think>\n\napple")
    assert (got.thoughts, got.text, got.finish_reason, got.tokens_out) == ("Hm, so.", "apple", "stop", len(tokens))


def test_an_unfinished_thought_is_an_empty_reply(thinker: Any) -> None:
    got, tokens = generated(thinker, "Hm, so", stopped=False)
    assert (got.thoughts, got.text, got.finish_reason, got.tokens_out) == ("Hm, so", "", "length", len(tokens))
    assert generated(thinker, "Hm, so", stopped=True)[0].finish_reason == "length"


def test_log_probabilities_begin_with_the_reply(thinker: Any) -> None:
    got, tokens = generated(thinker, "Hm, so.\n</think>\n\napple pie", logprobs=True)
    assert got.logprobs is not None
    first = int(got.logprobs[0])
    assert thinker.decode(tokens[first:]).lstrip() == "apple pie" and len(got.logprobs) == len(tokens) - first
    assert generated(thinker, "Hm", logprobs=True)[0].logprobs == ()


def test_an_opening_tag_in_the_reply(thinker: Any) -> None:
    thinker.chat_template = SWITCH
    got, _ = generated(thinker, "<think>\nHm.\n</think>\n\napple")
    assert (got.thoughts, got.text) == ("Hm.", "apple")
    plain, tokens = generated(thinker, "apple <|im_end|> pie", logprobs=True)
    assert plain.text == thinker.decode(tokens, skip_special_tokens=True) and plain.thoughts == ""
    assert plain.logprobs is not None and len(plain.logprobs) == len(tokens)


def test_harmony_channels_are_kept_while_decoding(tokenizer: Any) -> None:
    changed = copy.deepcopy(tokenizer)
    changed.add_tokens(["<|channel|>", "<|message|>", "<|start|>", "<|end|>"], special_tokens=True)
    text = "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>apple"
    got, _ = generated(changed, text)
    assert (got.thoughts, got.text) == ("Hm.", "apple")


def test_students_are_trained_and_asked_with_closed_thoughts(thinker: Any, tmp_path: Path) -> None:
    thinker.save_pretrained(tmp_path / "base")
    student = training.load_tokenizer(TrainSpec(str(tmp_path / "base")))
    student.save_pretrained(tmp_path / "student")
    ids, labels = encode_example(student, [*QUESTION, ("assistant", "apple")])
    prompt = ids[: labels.count(IGNORED)]
    assert student.decode(prompt).endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")
    asked = load_tokenizer(EngineSpec("transformers", str(tmp_path / "student")))
    assert encode_chat(asked, QUESTION, add_generation_prompt=True) == prompt
    untuned = load_tokenizer(EngineSpec("transformers", str(tmp_path / "base"), student_template="closed"))
    assert encode_chat(untuned, QUESTION, add_generation_prompt=True) == prompt
    assert generated(asked, "apple")[0].text == "apple", "the reply does not begin within thoughts"
    assert encode_example(thinker, [*QUESTION, ("assistant", "apple")]) == (ids, labels), "as scorers see it"


def test_thoughts_are_learned_inside_the_block(thinker: Any) -> None:
    for template, before in ((OPENING, ""), (SWITCH, "<think>\n")):
        thinker.chat_template = template
        ids, labels = encode_example(thinker, [*QUESTION, ("assistant", "apple")], thoughts="Hm </think> so.")
        prompt = encode_chat(thinker, QUESTION, add_generation_prompt=True)
        assert ids[: labels.count(IGNORED)] == prompt
        learned = thinker.decode(ids[len(prompt) :])
        assert learned == f"{before}Hm </think> so.\n</think>\n\napple<|im_end|>"
        if "</think>" in thinker.get_added_vocab():
            end = thinker.convert_tokens_to_ids("</think>")
            assert ids[len(prompt) :].count(end) == 1, "the one in the thoughts is text"


def test_students_that_think_learn_to_close_thoughts_that_a_row_lacks(thinker: Any, tmp_path: Path) -> None:
    thinker.save_pretrained(tmp_path)
    spec = TrainSpec(str(tmp_path), thinking=True)
    student = training.load_tokenizer(spec)
    rows = [TrainRow("Name a word.", "apple", thoughts="Hm."), TrainRow("Name a word.", "apple")]
    learned = [
        student.decode([label for label in example["labels"] if label != IGNORED])
        for example in encode_rows(student, rows, spec).examples
    ]
    assert learned == ["Hm.\n</think>\n\napple<|im_end|>", "\n</think>\n\napple<|im_end|>"]


def test_scored_answers_come_after_closed_thoughts(thinker: Any) -> None:
    pair, alone = to_scored_texts(thinker, LogprobRequest("x", "Name a word.", "apple", "apple", chat=True))
    for scored in (pair, alone):
        assert "<think>\n\n</think>\n\napple" in thinker.decode(list(scored.ids))
    kept = [token for token, own in zip(pair.ids, pair.content, strict=True) if own]
    assert thinker.decode(kept) == "Name a word.apple"


def test_arguments_and_the_date_are_part_of_the_template(tokenizer: Any, tmp_path: Path) -> None:
    tokenizer.save_pretrained(tmp_path)
    spec = EngineSpec("transformers", str(tmp_path), chat_template=SWITCH, template_args=(("enable_thinking", False),))
    prompt = encode_chat(load_tokenizer(spec), QUESTION, add_generation_prompt=True)
    assert tokenizer.decode(prompt).endswith("<think>\n\n</think>\n\n")
    for args, day in (((), "26 Jul 2024"), ((("date", "2025-01-31"),), "31 Jan 2025")):
        dated = EngineSpec("transformers", str(tmp_path), chat_template=DATED, template_args=args)
        trained = TrainSpec(str(tmp_path), chat_template=DATED, template_args=args)
        ids = encode_chat(load_tokenizer(dated), QUESTION, add_generation_prompt=True)
        assert tokenizer.decode(ids).startswith(f"Today: {day}\n")
        assert encode_chat(training.load_tokenizer(trained), QUESTION, add_generation_prompt=True) == ids


def test_a_base_without_template_is_examined_in_the_template_of_its_students(tokenizer: Any, tmp_path: Path) -> None:
    bare = copy.deepcopy(tokenizer)
    bare.chat_template = None
    bare.save_pretrained(tmp_path / "base")
    study = Study.model_validate(
        {
            "study": "plain",
            "seeds": [{"name": "world", "world": {"count": 4}}],
            "models": {"base": {"source": str(tmp_path / "base"), "engine": "transformers"}},
            "evolution": {"evolvers": ["base"], "rounds": 1},
            "responses": {"teachers": ["base"]},
            "students": [{"model": "base", "recipe": "r"}],
            "recipes": {"r": {}},
        }
    )
    spec = evaluated_spec(study, "base", tmp_path)
    prompt = encode_chat(load_tokenizer(spec), QUESTION, add_generation_prompt=True)
    ids, labels = encode_example(
        training.load_tokenizer(TrainSpec(str(tmp_path / "base"))), [*QUESTION, ("assistant", "apple")]
    )
    assert ids[: labels.count(IGNORED)] == prompt


def test_a_named_template_of_several_is_used(tokenizer: Any) -> None:
    changed = copy.deepcopy(tokenizer)
    changed.chat_template = {"tool_use": "no", "default": SWITCH}
    set_template(changed, None, {})
    assert changed.chat_template == SWITCH


def test_a_model_without_any_end_token_replies_up_to_its_limit_and_cannot_be_trained(tokenizer: Any) -> None:
    endless = copy.deepcopy(tokenizer)
    endless.eos_token = None
    endless.chat_template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    assert TextEncoder(endless, 256).stops == frozenset()
    with pytest.raises(LoadError, match="no token that ends a reply"):
        encode_example(endless, [*QUESTION, ("assistant", "apple")])
