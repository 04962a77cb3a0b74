"""Which evolutions failed, by the answers to them: the lexical failure detector of Auto Evol-Instruct (2406.00770)."""

from __future__ import annotations

from pipelines.study.spec.evolution import Variant

STAGNANT, UNQUALIFIED, LOST, EMPTY, UNREADABLE = "stagnant", "unqualified", "lost_information", "empty", "unreadable"
CLASSES = (STAGNANT, UNQUALIFIED, LOST, EMPTY, UNREADABLE)
_BEGINNINGS: dict[Variant, dict[str, tuple[str, ...]]] = {
    "paper": {STAGNANT: ("Understood", "Thank you"), UNQUALIFIED: ("Sure",)},
    "authors": {
        STAGNANT: (
            "Understood",
            "What",
            "That is correct",
            "Thank you",
            "Great",
            "I'm sorry",
            "Is there anything else",
            "As an AI assistant",
            "I understand",
        ),
        UNQUALIFIED: ("Sure",),
    },
}
_ANYWHERE: dict[Variant, tuple[str, ...]] = {
    "paper": ("please provide",),
    "authors": ("please provide", "not possible"),
}


def failure_class(response: str, variant: Variant = "paper") -> str | None:
    """The class of failure that a response to an evolved instruction shows; None if it shows none.

    `paper` is the appendix's rule: white space around the response does not count, beginnings are case-sensitive,
    "please provide" is not. Both are silent about an empty response: it counts as a failure of its own class here, and
    as a success with the longer lists of the authors' code.
    """
    text = response.strip()
    if not text:
        return EMPTY if variant == "paper" else None
    if any(words in text.lower() for words in _ANYWHERE[variant]):
        return LOST
    if text.endswith("?"):
        for name, beginnings in _BEGINNINGS[variant].items():
            if text.startswith(beginnings):
                return name
    return None
