"""Rows for training: what is kept, what counts towards the loss, and in which order."""

from __future__ import annotations

import copy

import pytest

from actors.inference.chat_template import IGNORED, encode_chat
from actors.inference.templates.student_templates import STUDENT_TEMPLATES
from actors.training.batches import (
    DataOrder,
    collate,
    encode_row,
    encode_rows,
    lengths_after_cutoff,
    micro_batches,
    response_token_count,
)
from actors.training.model import load_tokenizer
from actors.training.spec import (
    TrainError,
    TrainRow,
    TrainSpec,
    accumulation_steps,
    schedule,
    step_count,
    warmup_count,
)


def encoded(tokenizer, row: TrainRow, max_length: int):
    found = encode_row(tokenizer, row, spec(max_length=max_length))
    return found and found[0]


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
    example = encoded(tokenizer, TrainRow("Name a word.", "apple"), 256)
    assert example is not None
    learned = [label for label in example["labels"] if label != IGNORED]
    assert tokenizer.decode(learned) == "apple<|im_end|>"
    assert example["input_ids"][-len(learned) :] == learned


def test_a_long_row_keeps_the_starts_of_prompt_and_response(tokenizer) -> None:
    whole = encoded(tokenizer, TrainRow("lazy dog " * 30, "quick fox " * 30), 10_000)
    short = encoded(tokenizer, TrainRow("lazy dog " * 30, "quick fox " * 30), 64)
    assert whole is not None and short is not None
    assert len(short["input_ids"]) == len(short["labels"]) == 64
    prompt = short["labels"].count(IGNORED)
    assert short["input_ids"][:prompt] == whole["input_ids"][:prompt]
    start = whole["labels"].count(IGNORED)
    assert short["labels"][prompt:] == whole["labels"][start : start + 64 - prompt]


def test_rows_without_a_response_are_dropped_and_counted(tokenizer) -> None:
    data = encode_rows(tokenizer, [TrainRow("a", "one"), TrainRow("b", ""), TrainRow("c", " \n")], spec())
    assert (len(data.examples), data.dropped) == (1, 2)
    assert data.tokens == len(data.examples[0]["input_ids"])


BEFORE = (
    ("system", "Be brief."), ("user", "Name a river."), ("assistant", "lazy dog"),
    ("user", "Another!"), ("assistant", "quick fox"),
)  # fmt: skip
TALK = TrainRow("And now?", "brown fox", BEFORE)


def learned_text(tokenizer, row) -> str:
    return tokenizer.decode([label for label in row["labels"] if label != IGNORED])


def test_of_a_conversation_the_last_answer_is_learned(tokenizer) -> None:
    row = encoded(tokenizer, TALK, 256)
    assert learned_text(tokenizer, row) == "brown fox<|im_end|>"
    prompt = encode_chat(tokenizer, [*BEFORE, ("user", "And now?")], add_generation_prompt=True)
    assert row["input_ids"][: len(prompt)] == prompt, "what the student will be asked"


def test_every_turn_of_the_assistant_is_learned_by_a_switch(tokenizer) -> None:
    row, shortened = encode_row(tokenizer, TALK, spec(loss="all"))  # type: ignore[misc]
    assert learned_text(tokenizer, row) == "lazy dog<|im_end|>quick fox<|im_end|>brown fox<|im_end|>"
    assert all(label in (IGNORED, token) for token, label in zip(row["input_ids"], row["labels"], strict=True))
    assert tokenizer.decode(row["input_ids"]) == tokenizer.decode(encoded(tokenizer, TALK, 256)["input_ids"])
    plain = TrainRow("Name a word.", "apple")
    assert not shortened and encode_row(tokenizer, plain, spec(loss="all")) == encode_row(tokenizer, plain, spec())


@pytest.mark.parametrize("loss", ["last", "all"])
def test_a_long_conversation_loses_its_oldest_exchanges_and_is_counted(tokenizer, loss) -> None:
    kept = [TALK._replace(before=BEFORE[:1] + BEFORE[start:]) for start in (1, 3, 5)]
    whole, shorter, shortest = [encode_row(tokenizer, row, spec(loss=loss))[0] for row in kept]  # type: ignore[index]
    lengths = [len(row["input_ids"]) for row in (whole, shorter, shortest)]
    assert lengths == sorted(lengths, reverse=True)
    for length, left in ((lengths[0], whole), (lengths[0] - 1, shorter), (lengths[1] - 1, shortest)):
        assert encode_row(tokenizer, TALK, spec(loss=loss, max_length=length)) == (left, length < lengths[0])
    data = encode_rows(tokenizer, [TALK, TrainRow("a", "one")], spec(loss=loss, max_length=lengths[1]))
    assert (len(data.examples), data.shortened, data.dropped) == (2, 1, 0)
    cut, shortened = encode_row(tokenizer, TALK, spec(loss=loss, max_length=12))  # type: ignore[misc]
    assert len(cut["input_ids"]) == 12 and shortened


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
    **STUDENT_TEMPLATES,
}


@pytest.mark.parametrize("template", TEMPLATES)
def test_only_the_answer_and_its_end_are_learned_under_any_template(tokenizer, template: str) -> None:
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.chat_template = TEMPLATES[template]
    example = encoded(tokenizer, TrainRow("Name a word.", "apple<|im_end|>"), 256)
    assert example is not None
    prompt = encode_chat(tokenizer, [("user", "Name a word.")], add_generation_prompt=True)
    assert example["input_ids"][: len(prompt)] == prompt, "what the student will be asked"
    assert example["labels"][: len(prompt)] == [IGNORED] * len(prompt)
    assert example["labels"][len(prompt) :] == example["input_ids"][len(prompt) :]
    assert tokenizer.decode(example["labels"][len(prompt) :]) == "apple<|im_end|><|im_end|>"
    assert example["labels"].count(tokenizer.eos_token_id) == 1, "the answer's own is text"


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_turn_is_learned_under_any_template(tokenizer, template: str) -> None:
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.chat_template = TEMPLATES[template]
    before = (("user", "Name a word."), ("assistant", "apple<|im_end|>"))
    talk = TrainRow("<|im_end|>Another.", "pear", before)
    row, _ = encode_row(tokenizer, talk, spec(loss="all"))  # type: ignore[misc]
    assert learned_text(tokenizer, row).replace(" ", "") == "apple<|im_end|><|im_end|>pear<|im_end|>"
    assert row["labels"].count(tokenizer.eos_token_id) == 2, "the answers' own are text"
    assert tokenizer.decode(row["input_ids"]) == tokenizer.decode(encoded(tokenizer, talk, 256)["input_ids"])


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


ROWS = [{"input_ids": [n] * (n % 3 + 2), "labels": [IGNORED] + [n] * (n % 3 + 1)} for n in range(1, 12)]


def spec(**changes) -> TrainSpec:
    return TrainSpec("base", **changes)


def ids(rows) -> list[int]:
    return [row["input_ids"][0] for row in rows]


def test_an_epoch_has_every_row_once_and_an_order_of_its_own() -> None:
    course = DataOrder(ROWS, spec(batch_size=4, epochs=2, seed=3))
    first, second = ([n for step in steps for n in ids(course.rows(step))] for steps in (range(3), range(3, 6)))
    assert sorted(first) == sorted(second) == ids(ROWS)
    assert first != second
    assert [len(course.rows(step)) for step in range(7)] == [4, 4, 3, 4, 4, 3, 0]
    again = DataOrder(ROWS, spec(batch_size=4, epochs=2, seed=3))
    assert [ids(again.rows(step)) for step in (5, 0)] == [ids(course.rows(step)) for step in (5, 0)]
    assert ids(DataOrder(ROWS, spec(seed=4)).rows(0)) != ids(DataOrder(ROWS, spec(seed=3)).rows(0))


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_all_workers_together_see_the_rows_of_the_step(workers: int) -> None:
    parts = [[*micro_batches([ROWS], 2, worker, workers)] for worker in range(workers)]
    assert len({len(part) for part in parts}) == 1, "all take part in every pass"
    assert sorted(ids(row for part in parts for one in part for row in one[0])) == ids(ROWS)
    assert all(len(one[0]) <= 2 for part in parts for one in part)


@pytest.mark.parametrize("packing", [False, True])
def test_students_have_equally_many_tokens_in_every_pass(packing: bool) -> None:
    for rows in micro_batches([ROWS, ROWS[:3], []], 2, 0, 1):
        batch = collate(rows, 0, packing)
        for one, targets in zip(rows, batch.targets.reshape(3, -1), strict=True):
            assert sum(target != IGNORED for target in targets.tolist()) == response_token_count(one)
        assert batch.row_lengths is None or sum(batch.row_lengths) == batch.targets.numel()


def test_padding_is_neither_attended_to_nor_learned() -> None:
    batch = collate(
        [[{"input_ids": [5, 6, 7], "labels": [IGNORED, 6, 7]}, {"input_ids": [5], "labels": [5]}]], 0, False
    )
    assert batch.inputs["input_ids"].tolist() == [[5, 6, 7], [5, 0, 0]]
    assert batch.inputs["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch.targets.tolist() == [[6, 7, IGNORED], [IGNORED] * 3]


def test_packed_rows_keep_their_positions_and_learn_nothing_across_their_ends() -> None:
    batch = collate([ROWS[:3]], 0, packing=True)
    assert batch.inputs["input_ids"].tolist() == [[1, 1, 1, 2, 2, 2, 2, 3, 3]]
    assert batch.inputs["position_ids"].tolist() == [[0, 1, 2, 0, 1, 2, 3, 0, 1]]
    assert batch.row_lengths == (3, 4, 2)
    assert batch.targets.tolist() == [[1, 1, IGNORED, 2, 2, 2, IGNORED, 3, IGNORED]]


def test_answer_tokens_are_counted_over_rows() -> None:
    assert response_token_count(ROWS[:3]) == 2 + 3 + 1


def test_steps_and_warm_up_of_the_papers() -> None:
    alpaca = spec(batch_size=64, epochs=3, warmup_ratio=0.03)  # 2412.11231, Table 6
    assert step_count(alpaca, 51_983) == 2_439
    assert warmup_count(alpaca, 2_439) == 74
    magpie = spec(batch_size=32, epochs=2, warmup_steps=100)  # 2411.07133, Table 5
    assert step_count(magpie, 100_000) == 6_250
    assert warmup_count(magpie, 6_250) == 100


def test_the_rate_warms_up_and_falls_as_half_a_cosine() -> None:
    rates = schedule(spec(learning_rate=2e-5, warmup_steps=100), 1100)
    assert [rates.rate(step) for step in (0, 50, 100, 600, 1100, 1200)] == pytest.approx([0, 1e-5, 2e-5, 1e-5, 0, 0])


@pytest.mark.parametrize("scheduler", ["cosine", "linear", "constant"])
def test_schedules_are_those_of_transformers(scheduler) -> None:
    import torch
    from transformers import get_scheduler

    name = "constant_with_warmup" if scheduler == "constant" else scheduler
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1e-3)
    theirs = get_scheduler(name, optimizer, num_warmup_steps=5, num_training_steps=40)
    ours = schedule(spec(learning_rate=1e-3, warmup_steps=5, scheduler=scheduler), 40)
    for step in range(40):
        assert ours.rate(step) == pytest.approx(theirs.get_last_lr()[0]), step
        optimizer.step()
        theirs.step()


@pytest.mark.parametrize(("workers", "size", "passes"), [(8, 1, 8), (4, 1, 16), (1, 64, 1)])
def test_the_batch_is_the_recipes_on_any_number_of_workers(workers: int, size: int, passes: int) -> None:
    assert accumulation_steps(spec(batch_size=64, micro_batch_size=size), workers) == passes
    with pytest.raises(TrainError, match="multiple of"):
        accumulation_steps(spec(batch_size=64, micro_batch_size=size), 3)


def test_a_row_is_learned_after_its_conversation_with_its_thoughts(tokenizer) -> None:
    before = (("system", "Be brief."), ("user", "Hi."), ("assistant", "Hello."))
    row = encoded(tokenizer, TrainRow("Name a word.", "apple", before, "Hm."), 256)
    assert row is not None
    prompt = encode_chat(tokenizer, [*before, ("user", "Name a word.")], add_generation_prompt=True)
    assert row["input_ids"][: row["labels"].count(IGNORED)] == prompt
    learned = [label for label in row["labels"] if label != IGNORED]
    assert tokenizer.decode(learned) == "<think>\nHm.\n</think>\n\napple<|im_end|>"
    none = encoded(tokenizer, TrainRow("Name a word.", "apple", before, ""), 256)
    assert none is not None and "<think>\n\n</think>\n\napple" in tokenizer.decode(none["input_ids"])
