"""Examples that stand before a benchmark's question: OpenCompass 0.3.3's for GSM8K, MATH and MBPP (Apache-2.0)."""

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True)
class Shots:
    """Examples as (question, answer), in their order; `digest` is the sha256 of their file."""

    examples: tuple[tuple[str, str], ...]
    digest: str


@cache
def shots(name: str) -> Shots:
    """The examples of a benchmark: gsm8k, math or mbpp."""
    content = (resources.files("prompts") / "examples" / f"{name}.json").read_bytes()
    examples = tuple((question, answer) for question, answer in json.loads(content))
    return Shots(examples, hashlib.sha256(content).hexdigest())
