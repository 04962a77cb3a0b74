"""How judges' verdicts are read, as the benchmarks' own code reads them; None where there is none."""

import re

_DOUBLE = re.compile(r"\[\[(\d+\.?\d*)\]\]")
_SINGLE = re.compile(r"\[(\d+\.?\d*)\]")
_ARENA = re.compile(r"\[\[([AB<>=]+)\]\]")
_LIST = re.compile(r"\[.*\]")
_QUOTED = re.compile(r"""\s*(['"])(.*?)\1\s*""")
ARENA_LABELS = ("A>>B", "A>B", "A=B", "B>A", "B>>A")
NOT_MET = ("NO", "PARTIAL", "MAYBE", "UNKNOWN", "N/A")


def rating(reply: str) -> str | None:
    """MT-Bench (FastChat): the first [[n]], or else the first [n]."""
    found = _DOUBLE.search(reply) or _SINGLE.search(reply)
    return found[1] if found else None


def arena_label(reply: str) -> str | None:
    """Arena-Hard v0.1: the one label in double brackets, however often; none if there are different ones."""
    found = set(_ARENA.findall(reply.upper()))
    label = found.pop() if len(found) == 1 else ""
    return label if label in ARENA_LABELS else None


def model_label(reply: str) -> str | None:
    """AlpacaEval 2: the label of the better output, m or M, and nothing else but quotes and full stops around it."""
    label = reply.strip().strip("'\"`*.")
    return label if label in ("m", "M") else None


def win_tie_lose(reply: str) -> str | None:
    """2412.11231's code: the label sentence of a win, else that of a loss, else that of a tie."""
    for word, verdict in (("better than", "win"), ("worse than", "lose"), ("equal to", "tie")):
        if f"Assistant 1 is {word} Assistant 2" in reply:
            return verdict
    return None


def yes_no_list(reply: str) -> str | None:
    """FollowBench: the list in the last line, as its words between commas; one word may stand without brackets."""
    last = reply.strip("`").strip().split("\n")[-1]
    found = _LIST.search(last)
    if found is None:
        return next((word for word in ("YES", "NO") if word in last), None)
    words = [_QUOTED.sub(r"\2", part).strip() for part in found[0][1:-1].split(",")]
    return ",".join(words) if all(word in ("YES", *NOT_MET) for word in words) else None
