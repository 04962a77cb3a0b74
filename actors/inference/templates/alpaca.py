"""The prompt of Alpaca, as Cherry_LLM (2308.12032) scores pairs in it; students' template `alpaca` begins like it."""

from __future__ import annotations

_TASK = "Below is an instruction that describes a task"
_REQUEST = "Write a response that appropriately completes the request.\n\n"
PREAMBLE = f"{_TASK}. {_REQUEST}"
PREAMBLE_WITH_INPUT = f"{_TASK}, paired with an input that provides further context. {_REQUEST}"
RESPONSE_HEADER = "### Response:"


def alpaca_prompt(instruction: str, extra: str) -> str:
    """Return the prompt for an instruction and its input, which may be empty; an answer follows without a space."""
    if not extra:
        return f"{PREAMBLE}### Instruction:\n{instruction}\n\n{RESPONSE_HEADER}"
    return f"{PREAMBLE_WITH_INPUT}### Instruction:\n{instruction}\n\n### Input:\n{extra}\n\n{RESPONSE_HEADER}"
