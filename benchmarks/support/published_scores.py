"""IFD and IC-IFD as the code of 2412.11231 (`eval_loss.py`) computes them: one row at a time, three passes each.

`python -m benchmarks.support.published_scores MODEL ROWS.jsonl` prints what it took as JSON; it runs in a process of
its own. Every detail that costs time is as there: three tokenisations, the pair's pass twice with other labels, the
model's own loss over all logits, each loss fetched at once. The number type is ours, float32: the 16 bits of the
original are no faster on a CPU.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

WARM_UP = 16
MATMUL_SIZE = 2048  # of the square matrices whose product shows the machine's rate


def losses(model: Any, tokenizer: Any, row: dict[str, str]) -> tuple[float, float, float, int]:
    """Losses of the question, of the answer given it, and of the answer alone; and how many tokens pair and answer
    have."""
    question = f"{row['instruction']}\n{row['input']}" if row["input"] else row["instruction"]
    pair = tokenizer([f"{question}\n{row['output']}"], return_tensors="pt", padding=True).input_ids
    answer = tokenizer([row["output"]], return_tensors="pt", padding=True).input_ids
    asked = len(tokenizer(question, return_tensors="pt").input_ids[0])
    of_answer, of_question = pair.clone(), pair.clone()
    of_answer[0, :asked] = -100
    of_question[0, asked:] = -100
    with torch.no_grad():
        instruction = model(input_ids=pair, labels=of_question).loss
        alone = model(input_ids=answer, labels=answer).loss
        conditional = model(input_ids=pair, labels=of_answer).loss
    return instruction.item(), conditional.item(), alone.item(), pair.shape[1] + answer.shape[1]


def matrix_rate() -> float:
    """Floating-point operations per second of a plain product of large matrices, on all cores; the best of several."""
    one, other = torch.randn(MATMUL_SIZE, MATMUL_SIZE), torch.randn(MATMUL_SIZE, MATMUL_SIZE)
    seconds: list[float] = []
    for _ in range(8):
        started = time.perf_counter()
        torch.mm(one, other)
        seconds.append(time.perf_counter() - started)
    return 2 * MATMUL_SIZE**3 / min(seconds)


def measure(model: Any, tokenizer: Any, rows: Sequence[dict[str, str]]) -> dict[str, float]:
    """Seconds, tokens of pairs and answers, and the mean IFD of all rows."""
    for row in rows[:WARM_UP]:
        losses(model, tokenizer, row)
    rate, started = matrix_rate(), time.perf_counter()
    found = [losses(model, tokenizer, row) for row in rows]
    seconds = time.perf_counter() - started
    ifd = sum(conditional / alone for _, conditional, alone, _ in found) / len(found)
    return {"seconds": seconds, "tokens": sum(one[3] for one in found), "ifd": ifd, "matrix_rate": rate}


def main() -> None:
    """Print the measurement."""
    model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
    rows = [json.loads(line) for line in Path(sys.argv[2]).read_text().splitlines()]
    print(json.dumps(measure(model, tokenizer, rows)))


if __name__ == "__main__":
    main()
