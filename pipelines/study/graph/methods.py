"""Evol-Instruct's methods and which row gets which (2412.11231, reference code; breadth is for open-domain seeds)."""

from __future__ import annotations

import hashlib

from pipelines.study.spec.evolution import Variant

IN_DEPTH = ("constraints", "deepen", "concretize", "reasoning")
BREADTH = "breadth"
AUTO = "auto"


def rotation(breadth: bool) -> tuple[str, ...]:
    """The methods in the order in which rows go through them."""
    return (*IN_DEPTH, BREADTH) if breadth else IN_DEPTH


def method_for(methods: tuple[str, ...], index: int, number: int) -> str:
    """The method of the seed at 0-based `index` in round `number` (1, 2, ...): (index + number - 1) mod M.

    `index` is the row's place in the seed file, not among the rows that are left: rejections do not shift it.
    """
    return methods[(index + number - 1) % len(methods)]


def random_method(methods: tuple[str, ...], seed_id: str, number: int, study_seed: int) -> str:
    """A method drawn uniformly for a seed and a round (WizardLM's code); the same for all evolvers of a study."""
    digest = hashlib.sha256(f"{study_seed} {seed_id} {number}".encode()).digest()
    return methods[int.from_bytes(digest[:8]) % len(methods)]


def prompt_name(method: str) -> str:
    """The template that asks for a method."""
    return f"evol_{method}"


def reply_parser(variant: Variant) -> str:
    """How replies to an optimized method are read."""
    return "final_instruction" if variant == "paper" else "final_instruction_or_all"
