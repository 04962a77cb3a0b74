"""Reads judges' verdicts in the same way as the benchmarks' own code. A reply without a verdict gives None."""

import re

_DOUBLE = re.compile(r"\[\[(\d+\.?\d*)\]\]")
_SINGLE = re.compile(r"\[(\d+\.?\d*)\]")
_ARENA = re.compile(r"\[\[([AB<>=]+)\]\]")
_LIST = re.compile(r"\[.*\]")
_QUOTED = re.compile(r"""\s*(['"])(.*?)\1\s*""")
ARENA_LABELS = ("A>>B", "A>B", "A=B", "B>A", "B>>A")
NOT_MET = ("NO", "PARTIAL", "MAYBE", "UNKNOWN", "N/A")


def rating(reply: str) -> str | None:
    """Return the rating as in MT-Bench (FastChat): the first [[n]], or else the first [n]."""
    found = _DOUBLE.search(reply) or _SINGLE.search(reply)
    return found[1] if found else None


def arena_labels(reply: str) -> set[str]:
    """Return the different labels in double brackets, as Arena-Hard v0.1 finds them; some may be none of its own."""
    return set(_ARENA.findall(reply.upper()))


def model_label(reply: str) -> str | None:
    """Return the label as in AlpacaEval 2: m or M, the better output, with only quotes and full stops around it."""
    label = reply.strip().strip("'\"`*.")
    return label if label in ("m", "M") else None


def win_tie_lose(reply: str) -> str | None:
    """Return "win", "lose" or "tie" as in the code of 2412.11231, by the first matching sentence in this order."""
    for word, verdict in (("better than", "win"), ("worse than", "lose"), ("equal to", "tie")):
        if f"Assistant 1 is {word} Assistant 2" in reply:
            return verdict
    return None


def yes_no_list(reply: str) -> str | None:
    """Return the list in the last line, joined by commas, as in FollowBench. A single word needs no brackets."""
    last = reply.strip("`").strip().split("\n")[-1]
    found = _LIST.search(last)
    if found is None:
        return next((word for word in ("YES", "NO") if word in last), None)
    words = [_QUOTED.sub(r"\2", part).strip() for part in found[0][1:-1].split(",")]
    return ",".join(words) if all(word in ("YES", *NOT_MET) for word in words) else None
