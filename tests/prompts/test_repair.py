"""What a model writes around a rewritten instruction is removed by named rules; the instruction is not touched."""

from __future__ import annotations

import json

import pytest

import prompts
from prompts.flags import flags

TEXT = "Describe three rivers.\n\nUse two sentences for each."
WRAPPED = {
    "preamble": [
        "Here is a rewritten version:\n\n{}",
        "Here's the revised instruction:\n\n{}",
        "Certainly! Below is a more complex version of your question:\n\n{}",
        "Sure, here is a more complex version: {}",
        "Sure! Here's a more complex version of the given prompt:\n\n{}",
        "I have rewritten the prompt as follows:\n{}",
        "以下是改写后的指令：\n{}",
    ],
    "heading": [
        "#Rewritten Prompt#:\n{}",
        "#Rewritten Prompt#: {}",
        "### Rewritten Prompt\n\n{}",
        "**New Instruction:** {}",
        "**Rewritten Prompt**\n\n{}",
        "新指令：{}",
    ],
    "note": [
        "{}\n\n---\n*Note: I added one constraint about the time, as you asked.*",
        "{}\n\n**Explanation:** I added two constraints.",
        "{}\n\nThis version adds a constraint and makes it more specific.",
        "{}\n\nI have added one constraint to the original prompt.",
        "{}\n\n(Note: the rewritten prompt has 12 words more.)",
        "{}\n\nHope this helps!",
        "{}\n\nLet me know if you want another one.",
        "{} (Word count: 9)",
    ],
    "json": [json.dumps({"rewritten_prompt": TEXT}), json.dumps({"instruction": TEXT}, indent=1)],
    "code_fence+json": ["```json\n" + json.dumps({"prompt": TEXT}) + "\n```"],
    "tags": ["<rewritten_prompt>{}</rewritten_prompt>", "<instruction>\n{}\n</instruction>"],
    "code_fence": ["```text\n{}\n```"],
    "end_token": ["{}</s>", "{}<|im_end|>"],
    "invisible": ["\ufeff{}\u200b"],
    "preamble+note+heading": [
        "Sure! Here's a harder version of the prompt:\n\n**Rewritten Prompt:** {}\n\n**Explanation:** I added one."
    ],
    "preamble+note+code_fence": ["Here is the prompt:\n```\n{}\n```\nHope this helps!"],
}


@pytest.mark.parametrize(("rules", "form"), [(rules, form) for rules, forms in WRAPPED.items() for form in forms])
def test_wrappers_are_removed_by_named_rules(rules: str, form: str) -> None:
    reply = form.replace("{}", TEXT)
    assert prompts.parse("instruction", reply) == prompts.Reply(TEXT, f"repaired:{rules}")


@pytest.mark.parametrize(
    "instruction",
    [
        'Return JSON: {"prompt": "a text", "count": 3}',
        '{"name": "John"}',
        '{"prompt": "a", "count": 3}',
        "Wrap the answer in <answer></answer> tags.",
        "<p>One</p><p>Two</p>",
        "<question>One</question> or <question>two</question>",
        "Here is a new version of my code:\n```\nx = 1\n```\nFind the error.",
        "Here is a list:\n3, 1, 2\nSort it.",
        "Write a function.\n\nNote: do not use recursion.",
        "Answer like this:\n\nAnswer: yes\n\nExplanation: a sentence.",
        "# Plan\n\n## Prompt\n\nWrite the plan of a book.",
        "Compare the texts.\n\n---\n\nThe first text.",
        "\"I'm sorry, but I can't help.\" Say this politely.",
        "I cannot sleep. What helps?",
        "I'm sorry for the delay. Write this to my teacher.",
        "Ich kann nicht schlafen. Was hilft?",
        "As an AI researcher, explain overfitting.",
        "Sure-fire ways to save water: name three.",
        "Write an essay (200 words)",
        "What does the token <|im_end|> mean?",
        "  Keep\n\n  the spaces.".strip(),
    ],
)
def test_an_instruction_stays_byte_for_byte(instruction: str) -> None:
    assert prompts.parse("instruction", instruction) == prompts.Reply(instruction, "accepted")


def test_a_note_of_the_instruction_stays_beside_one_on_the_rewriting() -> None:
    told = "Write a function.\n\nNote: do not use recursion."
    assert prompts.parse("instruction", f"{told}\n\nNote: I added one constraint.").value == told


@pytest.mark.parametrize(
    "reply",
    [
        "Sure! Rivers are bodies of flowing water. Here are three facts:\n1. They flow.\n2. They are long.",
        "Certainly! Here's an overview of rivers:\nThey flow.",
    ],
)
def test_an_answer_in_place_of_a_rewrite_is_rejected(reply: str) -> None:
    assert prompts.parse("instruction", reply).reason == "answered"


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ("Tell me about rivers.", "请描述河流的历史，并给出两个例子。", ["language"]),
        ("请介绍一下河流。", "Describe three rivers.", ["language"]),
        ("川について教えてください。", "请描述河流的历史，并给出两个例子。", ["language"]),
        ("Tell me about rivers.", "Расскажи о трёх реках.", ["language"]),
        ("Translate 你好世界 into English.", "请把你好世界翻译成英文。", []),
        ("Tell me about rivers.", "Write 河 in Chinese and explain its parts.", []),
        ("2 + 2 =", "请描述", []),
        ("Tell me about rivers.", "Sure! Rivers flow to the sea.", ["answer"]),
        ("Tell me about rivers.", "Name two rivers.", []),
    ],
)
def test_signs_of_something_else(before: str, after: str, found: list[str]) -> None:
    assert flags(before, after) == found
