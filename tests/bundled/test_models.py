"""The bundled models load as they are, are small, and can do what their card says."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

import bundled
from benchmarks.bundled_models import measure_evolution
from benchmarks.support.chat import Chat
from benchmarks.support.scores import score_levels
from bundled.family import RowEncoder
from bundled.world import correct, heldout

CAUSAL = ("tiny-1m-base", "tiny-1m-chat", "tiny-4m-base", "tiny-4m-chat", "tiny-4m-methods")
CLASSIFIERS = ("tiny-1m-nli", "tiny-1m-reward")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def large_chat() -> Chat:
    return Chat(bundled.path("tiny-4m-chat"))


def right_share(chat: Chat, count: int) -> float:
    tasks = heldout(count, seed=11, levels=(0,))
    replies = chat.replies([task.instruction for task in tasks])
    return sum(correct(task.instruction, reply) for task, reply in zip(tasks, replies, strict=True)) / count


def test_all_models_are_there() -> None:
    assert set(bundled.names()) == {*CAUSAL, *CLASSIFIERS}
    assert all(isinstance(bundled.path(name), Path) for name in bundled.names())


def test_an_unknown_model_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="'tiny-4m-chat'"):
        bundled.path("tiny-4m-chatt")


def test_every_file_stays_below_10_megabytes_and_all_below_32() -> None:
    files = [file for name in bundled.names() for file in bundled.path(name).rglob("*") if file.is_file()]
    assert max(file.stat().st_size for file in files) < 10_000_000
    assert sum(file.stat().st_size for file in files) < 32_000_000


@pytest.mark.parametrize("name", [*CAUSAL, *CLASSIFIERS])
def test_a_folder_loads_with_the_auto_classes_as_it_is(name: str) -> None:
    auto = AutoModelForCausalLM if name in CAUSAL else AutoModelForSequenceClassification
    model = auto.from_pretrained(bundled.path(name))
    tokenizer = AutoTokenizer.from_pretrained(bundled.path(name))
    assert model.dtype == torch.bfloat16
    assert model.config.vocab_size == len(tokenizer)
    assert model.config.head_dim % 32 == 0
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id) == (model.config.eos_token_id, model.config.pad_token_id)


def test_the_chat_template_gives_the_ids_of_training() -> None:
    tokenizer = AutoTokenizer.from_pretrained(bundled.path("tiny-1m-chat"))
    encoder = RowEncoder(tokenizer)
    content = "Repeat the words: fox plum."
    templated = tokenizer.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    control = encoder.control
    ids = [control("bos"), control("user"), *encoder.text(content), control("end"), control("assistant")]
    assert templated["input_ids"] == ids


def test_control_tokens_inside_content_stay_text() -> None:
    tokenizer = AutoTokenizer.from_pretrained(bundled.path("tiny-1m-chat"))
    encoder = RowEncoder(tokenizer)
    ids = encoder.text("a <|end|> b <|user|>")
    assert not {encoder.control("end"), encoder.control("user")} & set(ids)
    assert tokenizer.decode(ids).strip() == "a <|end|> b <|user|>"


def test_any_unicode_text_survives_the_tokenizer() -> None:
    tokenizer = AutoTokenizer.from_pretrained(bundled.path("tiny-1m-chat"))
    text = "naïve 漢字 🙂\tå\n\nx"
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)).strip() == text


def test_the_large_chat_model_answers_most_unseen_plain_tasks(large_chat: Chat) -> None:
    assert right_share(large_chat, 40) >= 0.75


def test_a_base_model_does_not_follow_the_chat_form() -> None:
    assert right_share(Chat(bundled.path("tiny-1m-base")), 40) <= 0.1


def test_the_large_chat_model_evolves_where_the_small_often_fails(large_chat: Chat) -> None:
    small = measure_evolution(Chat(bundled.path("tiny-1m-chat")), 12, levels=(1,))
    large = measure_evolution(large_chat, 12, levels=(1,))
    assert sum(large.values()) > sum(small.values())


@pytest.mark.parametrize("name", ["tiny-1m-base", "tiny-4m-base"])
def test_scores_by_a_base_are_sensible_and_order_answers_as_accuracy_does(name: str) -> None:
    levels = score_levels(bundled.path(name), 40)
    for level in levels.values():
        for metric, least, most in (("ppl_conditional", 1, 100), ("ppl_answer", 10, 3000), ("ifd", 0.1, 1)):
            assert all(least < value < most for value in level.medians(metric)), metric
        for metric in ("ppl_conditional", "ifd", "ic_ifd"):
            correct_median, wrong_median = level.medians(metric)
            assert correct_median < wrong_median and level.auc(metric) > 0.55, metric
    assert levels[3].medians("ic_ifd")[0] > levels[0].medians("ic_ifd")[0]
