"""Which answers count as refusals."""

from __future__ import annotations

import pytest

import prompts
from prompts.refusals import is_refusal, refuses_rewrite


@pytest.mark.parametrize(
    "answer",
    [
        "I cannot help with that.",
        "I\u2019m sorry, but I can\u2019t do this.",
        "**Sorry, but I** am not the one to ask.",
        '"As an AI, I have no opinions."',
        "Unfortunately,  I\ncan not open links.",
        "I am unable to browse the web.",
    ],
)
def test_an_answer_that_opens_by_declining_is_a_refusal(answer: str) -> None:
    assert is_refusal(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "Icarus cannot fly.",
        "The Nile. I cannot say how long it is.",
        "I'm sorry for your loss. May the days be kind to you.",
        "As an AI researcher, Ada wrote programs.",
        "Sorry is a four-letter card game.",
    ],
)
def test_other_answers_are_none(answer: str) -> None:
    assert not is_refusal(answer)


REFUSALS = [
    "I'm sorry, but I can't help with rewriting that prompt.",
    "I apologize, but I cannot fulfill this request.",
    "As an AI language model, I cannot create harmful content. However, I can suggest another topic.",
    "I must decline to rewrite this.",
    "Unfortunately, I am unable to assist with that request.",
    "I won't help with that.",
    "很抱歉，我无法帮助您完成这个请求。",
    "对不起，作为一个人工智能，我不能改写这个指令。",
    "抱歉，我不能满足您的要求。",
    "申し訳ありませんが、そのリクエストにはお応えできません。",
    "죄송합니다만, 그 요청은 도와드릴 수 없습니다.",
    "Es tut mir leid, aber ich kann diese Anfrage nicht bearbeiten.",
    "Leider kann ich Ihnen dabei nicht helfen.",
    "Als KI-Sprachmodell kann ich das nicht tun.",
    "Je suis désolé, mais je ne peux pas réécrire cette instruction.",
    "Désolée, je ne peux pas vous aider.",
    "Lo siento, pero no puedo ayudar con eso.",
    "Lamentablemente, no puedo cumplir con esta solicitud.",
    "Desculpe, mas não posso ajudar com isso.",
    "Mi dispiace, ma non posso aiutarti.",
    "Извините, но я не могу помочь с этим.",
]


@pytest.mark.parametrize("reply", REFUSALS)
def test_refusals_are_known_in_several_languages_as_answers_and_in_place_of_instructions(reply: str) -> None:
    assert is_refusal(reply) and refuses_rewrite(reply)
    assert prompts.parse("instruction", f"**{reply}**").reason == "refused"


@pytest.mark.parametrize(
    "instruction",
    [
        "I can't decide between two phones. Which is better?",
        "I cannot open the file. What is wrong?",
        "I'm sorry about the noise. Write a note to the neighbours.",
        "Unfortunately, my bread does not rise. Explain why.",
        "对不起用英文怎么说？",
        "Entschuldigung, wie heißt die Hauptstadt von Peru?",
        "Lo siento es una canción. ¿De quién es?",
        "Désolé, quelle heure est-il ?",
    ],
)
def test_instructions_that_begin_like_one_are_none(instruction: str) -> None:
    assert not refuses_rewrite(instruction)
