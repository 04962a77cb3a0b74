"""Detects failed evolutions by the answers to them: Auto Evol-Instruct's lexical failure detector (2406.00770)."""

from __future__ import annotations

from pipelines.study.spec.instructions.evolution import Variant

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
    """Return the class of failure that a response to an evolved instruction shows, or None if it shows none.

    `paper` is the appendix's rule: white space around the response is ignored, the openings are case-sensitive, and
    "please provide" is case-insensitive. `authors` has the longer lists of the authors' code. Neither the paper nor the
    code covers an empty response: `paper` counts it as a separate class of failure here, and `authors` as a success.
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
