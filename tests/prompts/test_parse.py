"""Every reply has exactly one outcome, whatever it contains."""

import random
import time

import pytest

import prompts
from prompts.parse import PARSERS


@pytest.mark.parametrize(
    ("reply", "value", "outcome"),
    [
        ("  Sort the list. \n", "Sort the list.", "accepted"),
        ("#New Instruction#:\nSort the list.", "Sort the list.", "repaired:heading"),
        ("**Rewritten prompt:** Sort.", "Sort.", "repaired:heading"),
        ('"Sort the list."', "Sort the list.", "repaired:quotes"),
        ("“Sort the list.”", "Sort the list.", "repaired:quotes"),
        ("```text\nSort.\n```", "Sort.", "repaired:code_fence"),
        ('New instruction: "Sort."', "Sort.", "repaired:heading+quotes"),
        ('"a" or "b"', '"a" or "b"', "accepted"),
        ("Write a prompt: be brief", "Write a prompt: be brief", "accepted"),
        ("", None, "rejected:empty"),
        (" \n\t", None, "rejected:empty"),
        ("<think>\nHm.\n</think>\nSort.", "Sort.", "repaired:thinking"),
        ("Hm.</think> 'Sort.'", "Sort.", "repaired:thinking+quotes"),
        ("Here's a harder version of the instruction:\n\nSort.", "Sort.", "repaired:preamble"),
        ("Certainly! Here is the prompt, made more complex:\n```\nSort.\n```", "Sort.", "repaired:preamble+code_fence"),
        ("Here is a list:\n3, 1, 2\nSort it.", "Here is a list:\n3, 1, 2\nSort it.", "accepted"),
        ("<think>I should", None, "rejected:unfinished_thinking"),
        ("<think>Hm.</think>", None, "rejected:empty"),
        ("Sure, here is the rewritten prompt:\nSort.", "Sort.", "repaired:preamble"),
        ('""', None, "rejected:empty"),
        ("#New Instruction#:", None, "rejected:empty"),
        ("Here is the #Rewritten Prompt#: sort.", "sort.", "repaired:preamble"),
        ("I rewrote the given instruction as asked.", None, "rejected:leaked_frame"),
        ("I rewrote the given in\u017ftruction.", None, "rejected:leaked_frame"),  # without case, it is an s
        ("Sure! The new instruction: sort.", "sort.", "repaired:preamble+heading"),
        ("#Given Prompt#: sort\n#Rewritten Prompt#: sort it.", None, "rejected:leaked_frame"),
    ],
)
def test_instruction_replies(reply: str, value: str | None, outcome: str) -> None:
    assert prompts.parse("instruction", reply) == prompts.Reply(value, outcome)


@pytest.mark.parametrize(("reply", "value"), [(" 42\n", "42"), ("  ", None), ("sorry", "sorry")])
def test_an_answer_is_kept_unless_empty(reply: str, value: str | None) -> None:
    assert prompts.parse("answer", reply).value == value


@pytest.mark.parametrize(
    ("reply", "value", "outcome"),
    [
        ("equal", "equal", "accepted"),
        ("not equal\n", "not equal", "accepted"),
        ("Not equal.", "not equal", "repaired:label"),
        ("NOT_EQUAL", "not equal", "repaired:label"),
        ("**Equal**", "equal", "repaired:label"),
        ("Label: not equal", "not equal", "repaired:label"),
        ("Not equal: the second asks for more.", "not equal", "repaired:label"),
        ("<think>equal or not?</think>not equal", "not equal", "repaired:thinking"),
        ("", None, "rejected:empty"),
        ("They are hardly equal.", None, "rejected:not_a_label"),
        ("Unequal", None, "rejected:not_a_label"),
        ("Equality", None, "rejected:not_a_label"),
        ("equal or not equal", None, "rejected:two_labels"),
        ("<think>equal", None, "rejected:unfinished_thinking"),
    ],
)
def test_equality_replies(reply: str, value: str | None, outcome: str) -> None:
    assert prompts.parse("equality", reply) == prompts.Reply(value, outcome)


STEPS = "#Methods List#:\n1. More.\n#Plan#:\nAll.\n#Rewritten Instruction#:\nSort it well.\n"


@pytest.mark.parametrize(
    ("reply", "value", "outcome"),
    [
        (f"{STEPS}#Finally Rewritten Instruction#:\nSort it. \n", "Sort it.", "accepted"),
        (f"{STEPS}#Finally Rewritten Instruction#\nSort it.", "Sort it.", "accepted"),
        (f"{STEPS}**Finally Rewritten Instruction:**\nSort it.", "Sort it.", "accepted"),
        (f"{STEPS}Finally rewritten prompt: Sort it.", "Sort it.", "accepted"),
        (f"{STEPS}#Finally Rewritten Instruction#:\n```\nSort it.\n```", "Sort it.", "repaired:code_fence"),
        (f"{STEPS}#Final Rewritten Instruction#:\nSort it.", "Sort it.", "accepted"),
        (f"{STEPS}#Final Evolved Instruction#:\nSort it.", "Sort it.", "accepted"),
        (f"{STEPS}Final Refined Instruction:\nSort it.", "Sort it.", "accepted"),
        (f"{STEPS}#Finally Rewritten Instruction#:\n", None, "rejected:empty"),
        (STEPS, None, "rejected:no_final_heading"),
        ("", None, "rejected:no_final_heading"),
        (f"{STEPS}#Finally Rewritten Instruction#:\nAs #Rewritten Instruction#.", None, "rejected:leaked_frame"),
    ],
)
def test_the_instruction_is_what_stands_below_the_final_heading(reply: str, value: str | None, outcome: str) -> None:
    assert prompts.parse("final_instruction", reply) == prompts.Reply(value, outcome)


def test_without_a_final_heading_the_published_code_keeps_the_whole_reply() -> None:
    parsed = [
        prompts.parse("final_instruction_or_all", reply)
        for reply in ("Sort. ", " ", f"{STEPS}#Finally Rewritten Instruction#:\nX")
    ]
    assert [(one.value, one.outcome) for one in parsed] == [
        ("Sort.", "repaired:whole_reply"),
        (None, "rejected:empty"),
        ("X", "accepted"),
    ]


METHOD = "Make it harder.\n```\ncode\n```\nInstruction: {instruction}"


@pytest.mark.parametrize(
    ("reply", "value", "outcome"),
    [
        (f"Here:\n```Optimized Method\n{METHOD}\n```\nDone.", METHOD, "accepted"),
        (f"```optimised_method\n{METHOD}\n```", METHOD, "accepted"),
        ("```\nDo {instruction}\n```", "Do {instruction}", "repaired:unlabelled_block"),
        ("```a\n{instruction}\n```\n```b\n{instruction}\n```", None, "rejected:no_method_block"),
        ("Do {instruction}", None, "rejected:no_method_block"),
        ("```Optimized Method\nDo it.\n```", None, "rejected:no_placeholder"),
        ("```Optimized Method\nDo {instruction}", None, "rejected:no_method_block"),
        ("", None, "rejected:no_method_block"),
    ],
)
def test_a_method_is_the_labelled_block_of_a_reply(reply: str, value: str | None, outcome: str) -> None:
    assert prompts.parse("method", reply) == prompts.Reply(value, outcome)


def test_an_unknown_parser_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="'instruction'"):
        prompts.parse("instructoin", "x")


@pytest.mark.parametrize("parser", PARSERS)
def test_parsers_are_total_and_consistent_on_odd_replies(parser: str) -> None:
    rng = random.Random(0)
    pieces = [
        "#",
        '"',
        "`",
        "```",
        "\n",
        " ",
        "New Instruction",
        ":",
        "given prompt",
        "\x00",
        "é",
        "字",
        "{instruction}",
        "<|end|>",
    ]
    pieces += ["Finally Rewritten Instruction", "```Optimized Method\n", "\n```"]
    pieces += ["equal", "not ", "<think>", "</think>", "Here is the version:\n"]
    pieces += ["very hard", "\u2028", "\ud800", "“", "”", "'"]
    for _ in range(2000):
        reply = prompts.parse(parser, "".join(rng.choices(pieces, k=rng.randrange(9))))
        assert (reply.value is None) == reply.outcome.startswith("rejected:")
        assert reply.value is None or (reply.value == reply.value.strip() != "")
        assert reply.outcome.split(":")[0] in ("accepted", "repaired", "rejected")


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize(
    "piece", ["\n", " \n", " ", "a ", "#", "[", "{", "*", "<think>", "\n\nNote: I added x.", "1 ", "Sure "]
)
def test_long_repetitions_are_read_in_linear_time(parser: str, piece: str) -> None:
    started = time.process_time()
    prompts.parse(parser, "a" + piece * (12_000 // len(piece)) + "b")
    assert time.process_time() - started < 10  # of this process's own time; it takes milliseconds
