"""Thoughts are separated from replies, whatever tags a model uses; replies about such tags stay unchanged."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompts.thoughts import TAGS, closing_text, opens_thoughts, reply_start, split_thoughts, thoughts_frame

HARMONY = (
    "<|channel|>analysis<|message|>Two and two.<|end|><|start|>assistant"
    "<|channel|>commentary<|message|>Note.<|end|><|start|>assistant<|channel|>final<|message|>4<|return|>"
)


@pytest.mark.parametrize(("opening", "closing"), TAGS.items())
def test_every_tag(opening: str, closing: str) -> None:
    output = f"\n{opening}\nHm, [[3]].\n{closing}\n\n[[8]]\n"
    assert split_thoughts(output) == ("Hm, [[3]].", "[[8]]\n", False)
    assert split_thoughts(output.upper())[:2] == ("HM, [[3]].", "[[8]]\n")
    assert split_thoughts(f"{opening}Hm") == ("Hm", "", True)
    assert split_thoughts(f"Hm.\n{closing}\n\n[[8]]") == ("Hm.", "[[8]]", False)


@pytest.mark.parametrize(
    ("output", "thoughts", "reply", "unfinished"),
    [
        ("<think>\n\n</think>\n\nYes.", "", "Yes.", False),
        ("<think>a</think>\n<think>b</think>\nYes.", "a\n\nb", "Yes.", False),
        ("<think>a</think>\nOne.\n<think>b</think>\nTwo.", "a\n\nb", "One.\nTwo.", False),
        ("<think>a</think>One.<think>b</think> Two.", "a\n\nb", "One.Two.", False),
        ("<think>a</think>Use <think>b</think> tags.", "a", "Use <think>b</think> tags.", False),
        ("<think>a</think> b.\n</think>\nYes.", "a\n\nb.", "Yes.", False),
        ("<thinking>about <think> tags</thinking>Yes.", "about <think> tags", "Yes.", False),
        ("Hm</think>Yes.", "Hm", "Yes.", False),
        ("Hm. </think> Yes.", "Hm.", "Yes.", False),
        ("<|begin_of_thought|>a<|end_of_thought|>\n<|begin_of_solution|>\nb<|end_of_solution|>", "a", "b", False),
        (HARMONY, "Two and two.\n\nNote.", "4", False),
        ("<|channel|>final<|message|>4", "", "4", False),
        ("<|channel|>analysis<|message|>Two and", "Two and", "", True),
        ("<|channel|>final <|constrain|>json<|message|>{}<|return|>", "", "{}", False),
        ("analysisTwo and two.assistantcommentaryNote.assistantfinal4", "Two and two.\n\nNote.", "4", False),
        ("analysisTwo and two. The user", "Two and two. The user", "", True),
    ],
)
def test_thoughts(output: str, thoughts: str, reply: str, unfinished: bool) -> None:
    assert split_thoughts(output) == (thoughts, reply, unfinished)


@pytest.mark.parametrize(
    ("output", "thoughts", "reply", "unfinished"),
    [
        ("Hm.\n</think>\n\nYes.", "Hm.", "Yes.", False),
        ("Close it with </think> now: yes.", "Close it with", "now: yes.", False),
        ("<think>\nHm.</think>Yes.", "Hm.", "Yes.", False),
        ("Hm, so", "Hm, so", "", True),
        ("</think>\n\nYes.", "", "Yes.", False),
        ("Hm.<|end|><|start|>assistant<|channel|>final<|message|>4<|return|>", "Hm.", "4", False),
    ],
)
def test_the_prompt_opens_the_thoughts(output: str, thoughts: str, reply: str, unfinished: bool) -> None:
    assert split_thoughts(output, opened=True) == (thoughts, reply, unfinished)


@pytest.mark.parametrize(
    "reply",
    [
        "Put the steps between <think> and </think>, then answer.",
        "Write\n<think>\nsteps\n</think>\nbefore the answer.",
        "The tag </think> closes the block.",
        "End with `</think>`.",
        'The string "\\n</think>" is appended.',
        "```xml\nsteps\n</think>\n```\nshows a broken document.",
        "analysis of variance compares means; the assistant final report follows.",
        "The token <|channel|>final<|message|> precedes the reply.",
        " plain, with spaces \n",
        "",
    ],
)
def test_text_about_tags_stays_unchanged(reply: str) -> None:
    assert split_thoughts(reply) == ("", reply, False)


def test_code_after_thoughts_keeps_its_tags() -> None:
    reply = "Like this:\n```\n<think>\nsteps\n</think>\n```\nDone."
    assert split_thoughts(f"<think>Hm.</think>{reply}") == ("Hm.", reply, False)


@pytest.mark.parametrize(
    ("prompt", "closing"),
    [
        ("<|Assistant|><think>\n", "\n</think>\n\n"),
        ("<|Assistant|><think>", "\n\n</think>\n\n"),
        ("[/INST][THINK]", "\n\n[/THINK]\n\n"),
        ("<|start|>assistant<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
        ("<|im_start|>assistant\n<think>\n\n</think>\n\n", ""),
        ("<|im_start|>assistant\n", ""),
        ("<|start|>assistant", "<|channel|>final<|message|>"),
    ],
)
def test_closing(prompt: str, closing: str) -> None:
    assert closing_text(prompt) == closing
    assert opens_thoughts(prompt) == (bool(closing) and prompt != "<|start|>assistant")
    before, after = thoughts_frame(prompt)
    reopened = f"{before}Hm.{after}Yes."
    assert split_thoughts(reopened, opens_thoughts(prompt)) == ("Hm.", "Yes.", False)


PIECES = [*TAGS, *TAGS.values(), HARMONY[:30], "\n", " ", "`", "```", "a.", "b", "analysis", "assistantfinal"]


@given(st.lists(st.sampled_from(PIECES)).map("".join), st.booleans())
def test_every_output_has_a_reply_that_is_part_of_it(output: str, opened: bool) -> None:
    thoughts, reply, unfinished = split_thoughts(output, opened)
    assert not (unfinished and reply)
    assert len(thoughts) + len(reply) <= len(output) + 2 * output.count("<")
    assert output[reply_start(output, opened) :].startswith(reply[:1])
