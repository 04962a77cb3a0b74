"""Replies of the scripted engine. The expected format is recognised by marks in the prompt."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable

_REWRITING = ("instruction rewriter", "instruction creator", "rewrite", "new instruction")
_FINAL_HEADING = "#Finally Rewritten Instruction#:"
_NOT_EQUAL = "not equal"
_METHOD = re.compile(r"```Method\n(?P<text>.*?)\n```", re.DOTALL)
_WORDS = (
    "every answer must list exactly two short reasons and one clear example about water stone light river garden "
    "market winter music number letter with care before noon in simple order under strict limits for young readers"
)
_LABELS = ("A>>B", "A>B", "A=B", "B>A", "B>>A")
_SENTENCES = (
    "Keep all data of the instruction.",
    "Do not change what is asked.",
    "Each added word must matter.",
    "The result must be one instruction.",
)


def make_reply(message: str, draw: random.Random) -> str:
    """Return a reply in the format that the prompt requests; a plain answer if it requests none.

    A rewriting prompt gets a longer instruction (under its final heading, if it has one). A judge that may reply "not
    equal" does so, because a longer instruction differs. AutoIF's functions check a minimum number of words.
    """
    for mark, write in _REPLIES_BY_MARK:
        if mark in message:
            return write(message, draw)
    head, _, instruction = message.rpartition("Instruction:")
    if any(phrase in head.lower() for phrase in _REWRITING):
        heading = f"{_FINAL_HEADING} " if _FINAL_HEADING in head else ""
        return f"{heading}{instruction.strip()} Also, {_phrase(draw, 10, 20)}."
    if _NOT_EQUAL in message:
        return _NOT_EQUAL
    return f"{_phrase(draw, 5, 40).capitalize()}."


def first_alternatives(word: str, count: int, draw: random.Random) -> tuple[tuple[str, float], ...]:
    """Return `count` first words of a reply with log-probabilities: `word`, the labels of judges, and others."""
    words = [*dict.fromkeys((word, *draw.sample(("m", "M"), 2), *_WORDS.split()))][:count]
    values = sorted((draw.uniform(-8.0, -2.0) for _ in words), reverse=True)
    return tuple(zip(words, values, strict=True))


def _phrase(draw: random.Random, min_words: int, max_words: int) -> str:
    return " ".join(draw.choices(_WORDS.split(), k=draw.randint(min_words, max_words)))


def _improved_method(message: str, draw: random.Random) -> str:
    """Return the method with one more sentence; sometimes a reply without a method block."""
    found = _METHOD.search(message)
    if found is None or draw.random() < 0.1:
        return "The method is good as it is."
    return f"```Optimized Method\n{draw.choice(_SENTENCES)}\n\n{found['text']}\n```"


def _instructions(message: str, draw: random.Random) -> str:
    return "\n".join(f"- Write at least {draw.randint(5, 30)} words {_phrase(draw, 1, 2)}." for _ in range(8))


def _generated_tests(message: str, draw: random.Random) -> str:
    """Return a function and cases for "at least N words". 1 in 10 functions is wrong, 1 in 10 replies is not JSON."""
    number = re.search(r"\d+(?= words)", message.rpartition("Instruction:")[2])
    min_words, chance = int(number[0]) if number else 10, draw.random()
    if chance < 0.1:
        return "It can not be checked."
    bound = min_words + 1000 if chance < 0.2 else min_words
    spelling = draw.choice(("len(response.split()) >= {}", "not len(response.split()) < {}"))
    source = f"def evaluate(response):\n    return {spelling.format(bound)}"
    lengths = draw.sample(range(1, 60), 3)
    cases = [{"input": " ".join(["word"] * length), "output": length >= min_words} for length in lengths]
    return f"```json\n{json.dumps({'func': source, 'cases': cases})}\n```"


def _back_translations(message: str, draw: random.Random) -> str:
    numbers = re.findall(r"(?:>=|<) (\d+)", message)
    return f"```json\n{json.dumps([f'Write at least {number} words.' for number in numbers])}\n```"


def _judgement(message: str, draw: random.Random) -> str:
    return f"{_phrase(draw, 3, 8).capitalize()}.\nScore: {draw.randint(6, 10)}"


def _rating(message: str, draw: random.Random) -> str:
    return f"{_phrase(draw, 3, 8).capitalize()}.\nRating: [[{draw.randint(1, 10)}]]"


def _arena_label(message: str, draw: random.Random) -> str:
    """Return a verdict, sometimes without a label, as real judges do."""
    return f"My verdict is [[{draw.choice(_LABELS)}]]." if draw.random() < 0.9 else "I can not say."


def _comparison(message: str, draw: random.Random) -> str:
    word = draw.choice(("better than", "worse than", "equal to"))
    return f"{_phrase(draw, 3, 8).capitalize()}.\nAssistant 1 is {word} Assistant 2"


def _constraints_met(message: str, draw: random.Random) -> str:
    number = re.search(r"LIST with (\d+)", message)
    return str(draw.choices(["YES", "NO"], k=int(number[1]) if number else 1))


_REPLIES_BY_MARK: tuple[tuple[str, Callable[[str, random.Random], str]], ...] = (
    ("```Optimized Method", _improved_method),
    ('starting with "- "', _instructions),
    ('"cases"', _generated_tests),
    ("one JSON list", _back_translations),
    ("Score: n", _judgement),
    ("[[rating]]", _rating),
    ("Conversation with User|>", _rating),
    ("<|The Start of Assistant A's Answer|>", _arena_label),
    ("Assistant 1 is better than Assistant 2", _comparison),
    ("Python LIST", _constraints_met),
)
