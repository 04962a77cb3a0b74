"""Few-shot examples for benchmarks' questions: those of OpenCompass 0.3.3 for GSM8K, MATH and MBPP (Apache-2.0)."""

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True)
class Shots:
    """Examples as (question, answer), in prompt order. `digest` is the SHA-256 of their file."""

    examples: tuple[tuple[str, str], ...]
    digest: str


@cache
def shots(name: str) -> Shots:
    """Return the examples of a benchmark: gsm8k, math or mbpp."""
    content = (resources.files("prompts") / "examples" / f"{name}.json").read_bytes()
    examples = tuple((question, answer) for question, answer in json.loads(content))
    return Shots(examples, hashlib.sha256(content).hexdigest())
