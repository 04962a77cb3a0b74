"""The model of the methods answers their prompts as its card says, and the classifiers are mostly right."""

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import bundled
from benchmarks.support import exams
from benchmarks.support.chat import Chat
from bundled import classifiers, tokenizer
from bundled.family import RowEncoder
from pipelines.operators.autoif.back_translation import RELATIONS

AT_LEAST = {  # number of prompts, share that can be read, share of these that is right: well below what the card says
    "answer": (40, 0.95, 0.7),
    "equality": (40, 0.9, 0.6),
    "answer to a faulty evolution": (40, 0.95, 0.75),
    "evol_auto, cured": (16, 0.8, 0.15),
    "auto_evol_analyze": (8, 0.9, 0.4),
    "auto_evol_optimize": (8, 0.2, 0.0),
    "autoif_augment": (3, 0.9, 0.5),
    "autoif_material: function": (16, 0.8, 0.15),
    "autoif_material: cases": (8, 0.6, 0.3),
    "autoif_back_translate": (16, 0.7, 0.1),
    "autoif_answer": (40, 0.95, 0.3),
    "autoif_score": (24, 0.9, 0.0),
}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def chat() -> Chat:
    return Chat(bundled.path("tiny-4m-methods"))


@pytest.mark.parametrize("name", AT_LEAST)
def test_a_prompt_is_answered(chat: Chat, name: str) -> None:
    torch.manual_seed(0)
    count, read, right = AT_LEAST[name]
    mark = exams.run_exam(chat, exams.EXAMS[name], count)
    assert mark.readable_share >= read
    assert mark.correct_share >= right


def test_the_relation_of_unseen_pairs_is_mostly_told() -> None:
    shares = classifiers.relation_accuracy(classifiers.load(bundled.path("tiny-1m-nli")), 60)
    assert min(shares.values()) >= 0.65


def test_the_right_answer_has_mostly_the_higher_reward() -> None:
    shares = classifiers.reward_accuracy(classifiers.load(bundled.path("tiny-1m-reward")), 60)
    assert shares["level 0"] >= 0.75 and min(shares.values()) >= 0.6


def test_labels_and_inputs_are_those_that_engines_use() -> None:
    nli = AutoModelForSequenceClassification.from_pretrained(bundled.path("tiny-1m-nli"))
    reward = AutoModelForSequenceClassification.from_pretrained(bundled.path("tiny-1m-reward"))
    assert tuple(nli.config.id2label.values()) == classifiers.RELATIONS == RELATIONS
    assert reward.config.num_labels == 1
    encoder, words = RowEncoder(tokenizer.build()), AutoTokenizer.from_pretrained(bundled.path("tiny-1m-nli"))
    pair = classifiers.Pair("End with the word fox.", "Use the word fox.", "entailment")
    assert words([pair.premise], [pair.hypothesis])["input_ids"] == [classifiers.pair_ids(encoder, pair)]
    turns = [{"role": "user", "content": "Repeat the words: fox."}, {"role": "assistant", "content": "fox"}]
    assert words.apply_chat_template(turns)["input_ids"] == classifiers.chat_ids(
        encoder, *(t["content"] for t in turns)
    )
