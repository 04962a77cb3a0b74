"""Parsers of models' replies. They are strict and total: every reply has exactly one outcome."""

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass

from prompts.flags import is_answer
from prompts.labels import TWO, one_label, one_number, short_name
from prompts.methods import PLACEHOLDER, after_final_heading, labelled_block, only_block
from prompts.refusals import refuses_rewrite
from prompts.repair import repair
from prompts.tags import read_tags
from prompts.thoughts import split_thoughts
from prompts.verdicts import ARENA_LABELS, arena_labels, model_label, rating, win_tie_lose, yes_no_list

PARSER_VERSION = 3

DIFFICULTY_LABELS: tuple[str, ...] = ("very easy", "easy", "medium", "hard", "very hard")
CATEGORIES: tuple[str, ...] = (
    "information",
    "reasoning",
    "planning",
    "editing",
    "coding",
    "mathematics",
    "data analysis",
    "creative writing",
    "role playing",
    "advice",
    "brainstorming",
    "other",
)
MAX_KEYWORD_WORDS = 8  # longer replies are sentences, not names
EQUAL, NOT_EQUAL = "equal", "not equal"
TWO_LABELS, NOT_A_LABEL = "two_labels", "not_a_label"  # reasons why a reply is rejected

_FRAME = re.compile(
    r"#\s*(?:new|given|rewritten|created)\s+(?:instruction|prompt)\s*#"
    r"|\b(?:given|rewritten|created)\s+(?:instruction|prompt)\b"
    r"|\bnew instruction\s*:",
    re.I,
)


@dataclass(frozen=True)
class Reply:
    """The result of parsing a reply. `value` is None exactly if `outcome` starts with 'rejected:'.

    `outcome` is 'accepted', 'repaired:<rule>' (rules joined by '+') or 'rejected:<reason>'. An evolution's
    may begin with 'flagged:<sign>': it is kept, and may not be what was asked for.
    """

    value: str | None
    outcome: str

    @property
    def reason(self) -> str:
        """The reason of a rejection, or an empty string for a reply with a value."""
        return self.outcome.removeprefix("rejected:") if self.value is None else ""

    @property
    def rules(self) -> list[str]:
        """The names of the rules that repaired an accepted reply."""
        return self.outcome.removeprefix("repaired:").split("+") if self.outcome.startswith("repaired:") else []


def parse(parser: str, reply: str) -> Reply:
    """Parse `reply`, without any thoughts before it, with the parser of this name. Never raises because of the content.

    Raises:
        ValueError: There is no such parser.
    """
    if parser not in PARSERS:
        near = difflib.get_close_matches(parser, PARSERS, n=1, cutoff=0.0)
        raise ValueError(f"unknown parser {parser!r}; did you mean {near[0]!r}?")
    said = split_thoughts(reply)
    if said.unfinished:
        return Reply(None, "rejected:unfinished_thinking")
    read = PARSERS[parser](said.reply)
    if said.reply == reply or read.value is None:
        return read
    return _accepted(read.value, ["thinking", *read.rules])


def _accepted(value: str, rules: list[str]) -> Reply:
    return Reply(value, "repaired:" + "+".join(rules) if rules else "accepted")


def _instruction(reply: str) -> Reply:
    text, rules = repair(reply)
    if not text:
        return Reply(None, "rejected:empty")
    if refuses_rewrite(text):
        return Reply(None, "rejected:refused")
    if is_answer(text):
        return Reply(None, "rejected:answered")
    if _leaks_frame(text):
        return Reply(None, "rejected:leaked_frame")
    return _accepted(text, rules)


def _leaks_frame(text: str) -> bool:
    lower = text.lower()
    if lower.isascii() and "instruction" not in lower and "prompt" not in lower:
        return False  # other letters may equal ASCII ones in the pattern, which ignores case
    return _FRAME.search(text) is not None


def _answer(reply: str) -> Reply:
    text = reply.strip()
    return Reply(text, "accepted") if text else Reply(None, "rejected:empty")


def _one_of(labels: tuple[str, ...], reason: str) -> Callable[[str], Reply]:
    """Return a parser that accepts one of the labels, in any letter case, with marks and explanations around it.

    A reply that names two labels is rejected.
    """

    def parsed(reply: str) -> Reply:
        text = reply.strip()
        label = one_label(text, labels)
        if label == TWO:
            return Reply(None, f"rejected:{TWO_LABELS}")
        if label is None:
            return Reply(None, f"rejected:{reason}" if text else "rejected:empty")
        return _accepted(label, ["label"] if label != text else [])

    return parsed


def _difficulty_score(reply: str) -> Reply:
    """Accept one number from 0 to 100, also as "75/100" or "Score: 75"."""
    text = reply.strip()
    number = one_number(text)
    if number == TWO:
        return Reply(None, "rejected:two_numbers")
    if number is None:
        return Reply(None, "rejected:not_a_number" if text else "rejected:empty")
    if not 0 <= float(number) <= 100:
        return Reply(None, "rejected:out_of_range")
    return _accepted(number, ["label"] if number != text else [])


def _keyword(reply: str) -> Reply:
    """Accept a name of few words, in lower case and without quotes, so that equal names compare equal."""
    text = reply.strip()
    name = short_name(text)
    if not name:
        return Reply(None, "rejected:empty")
    if "\n" in name or len(name.split()) > MAX_KEYWORD_WORDS:
        return Reply(None, "rejected:not_a_name")
    name = " ".join(name.lower().split())
    return _accepted(name, ["name"] if name != text else [])


def _tags(reply: str) -> Reply:
    """Accept the tags of an instruction. The value has a line for each tag; without tags it is empty."""
    found = read_tags(reply)
    if found is None:
        return Reply(None, "rejected:no_tags" if reply.strip() else "rejected:empty")
    tags, exact = found
    return _accepted("\n".join(tags), [] if exact else ["list"])


def _final_instruction(reply: str) -> Reply:
    """Auto Evol-Instruct: accept the text below the final heading (2406.00770, Fig. 2).

    Other replies are rejected, as in the code of 2412.11231.
    """
    found = after_final_heading(reply)
    return Reply(None, "rejected:no_final_heading") if found is None else _instruction(found)


def _final_instruction_or_all(reply: str) -> Reply:
    """Auto Evol-Instruct as in the code of 2406.00770: without a final heading, the whole reply is the instruction."""
    found = after_final_heading(reply)
    if found is not None:
        return _instruction(found)
    text = reply.strip()
    return Reply(text, "repaired:whole_reply") if text else Reply(None, "rejected:empty")


def _method(reply: str) -> Reply:
    """Accept a template with a placeholder for the instruction, in a block labelled as the optimized method."""
    method, rules = labelled_block(reply), list[str]()
    if method is None:
        method, rules = only_block(reply), ["unlabelled_block"]
    if method is None:
        return Reply(None, "rejected:no_method_block")
    if PLACEHOLDER not in method:
        return Reply(None, "rejected:no_placeholder")
    return _accepted(method, rules)


def _verdict(read: Callable[[str], str | None]) -> Callable[[str], Reply]:
    """Return a parser that accepts the replies in which `read` finds a judge's verdict."""

    def parsed(reply: str) -> Reply:
        found = read(reply)
        return Reply(found, "rejected:no_verdict") if found is None else Reply(found, "accepted")

    return parsed


def _arena(reply: str) -> Reply:
    """Accept the label of Arena-Hard v0.1, which may be repeated but not vary."""
    found = arena_labels(reply)
    if len(found) > 1:
        return Reply(None, f"rejected:{TWO_LABELS}")
    label = found.pop() if found else ""
    if label in ARENA_LABELS:
        return Reply(label, "accepted")
    return Reply(None, f"rejected:{NOT_A_LABEL}" if label else "rejected:no_verdict")


PARSERS: dict[str, Callable[[str], Reply]] = {
    "instruction": _instruction,
    "answer": _answer,
    "difficulty_label": _one_of(DIFFICULTY_LABELS, "not_a_label"),
    "difficulty_score": _difficulty_score,
    "category": _one_of(CATEGORIES, "not_a_category"),
    "keyword": _keyword,
    "tags": _tags,
    "equality": _one_of((EQUAL, NOT_EQUAL), "not_a_label"),
    "final_instruction": _final_instruction,
    "final_instruction_or_all": _final_instruction_or_all,
    "method": _method,
    "rating": _verdict(rating),
    "arena": _arena,
    "label_m": _verdict(model_label),
    "win_tie_lose": _verdict(win_tie_lose),
    "yes_no_list": _verdict(yes_no_list),
}

_TEXTS = frozenset({"instruction", "answer", "final_instruction", "final_instruction_or_all"})
_BUILT_IN = frozenset(PARSERS)  # before plug-ins add theirs


def same_kind(parser: str, other: str) -> bool:
    """Return whether two parsers return the same kind of value: any text, or the same labels, numbers or verdicts.

    What the parser of a plug-in returns is unknown, so it is of every kind.
    """
    return parser == other or {parser, other} <= _TEXTS or not {parser, other} <= _BUILT_IN
