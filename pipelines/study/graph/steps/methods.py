"""Evol-Instruct's methods and their assignment to rows (2412.11231, reference code; breadth: open-domain seeds)."""

from __future__ import annotations

import hashlib

from pipelines.study.spec.instructions.evolution import Variant

IN_DEPTH = ("constraints", "deepen", "concretize", "reasoning")
BREADTH = "breadth"
AUTO = "auto"


def rotation(breadth: bool) -> tuple[str, ...]:
    """Return the methods in the order in which a row passes through them."""
    return (*IN_DEPTH, BREADTH) if breadth else IN_DEPTH


def method_for(methods: tuple[str, ...], index: int, number: int) -> str:
    """Return the method of the seed at 0-based `index` in round `number` (1, 2, ...): (index + number - 1) mod M.

    `index` is the row's position in the seed file, not among the remaining rows, so rejections do not shift it.
    """
    return methods[(index + number - 1) % len(methods)]


def random_method(methods: tuple[str, ...], seed_id: str, number: int, study_seed: int) -> str:
    """Return a method drawn uniformly for a seed and a round (WizardLM's code), equal for all evolvers of a study."""
    digest = hashlib.sha256(f"{study_seed} {seed_id} {number}".encode()).digest()
    return methods[int.from_bytes(digest[:8]) % len(methods)]


def prompt_name(method: str) -> str:
    """Return the name of a method's prompt template."""
    return f"evol_{method}"


def reply_parser(variant: Variant) -> str:
    """Return the name of the parser for replies to an optimized method."""
    return "final_instruction" if variant == "paper" else "final_instruction_or_all"
