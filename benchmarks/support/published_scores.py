"""Computes IFD and IC-IFD as the code of 2412.11231 (`eval_loss.py`) does: one row at a time, with three passes each.

`python -m benchmarks.support.published_scores MODEL ROWS.jsonl` prints its measurements as JSON. Everything that costs
time is as in the original: three tokenisations, two passes over the pair with different labels, the model's own loss
over all logits, and a synchronisation after each loss. Only the dtype is float32 as in evolgrid's run, because the 16
bits of the original are not faster on a CPU.
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
MATMUL_SIZE = 2048  # of the square matrices whose product measures the machine's rate


def losses(model: Any, tokenizer: Any, row: dict[str, str]) -> tuple[float, float, float, tuple[int, int]]:
    """Return the losses of the question, of the answer given the question, and of the answer alone.

    The last values are the numbers of tokens of the pair and of the answer.
    """
    question = f"{row['instruction']}\n{row['input']}" if row["input"] else row["instruction"]
    pair = tokenizer([f"{question}\n{row['output']}"], return_tensors="pt", padding=True).input_ids.to(model.device)
    answer = tokenizer([row["output"]], return_tensors="pt", padding=True).input_ids.to(model.device)
    asked = len(tokenizer(question, return_tensors="pt").input_ids[0])
    of_answer, of_question = pair.clone(), pair.clone()
    of_answer[0, :asked] = -100
    of_question[0, asked:] = -100
    with torch.no_grad():
        instruction = model(input_ids=pair, labels=of_question).loss
        alone = model(input_ids=answer, labels=answer).loss
        conditional = model(input_ids=pair, labels=of_answer).loss
    return instruction.item(), conditional.item(), alone.item(), (pair.shape[1], answer.shape[1])


def matrix_rate() -> float:
    """Return the FLOP/s of a product of large matrices on all cores, the best of several runs."""
    one, other = torch.randn(MATMUL_SIZE, MATMUL_SIZE), torch.randn(MATMUL_SIZE, MATMUL_SIZE)
    seconds: list[float] = []
    for _ in range(8):
        started = time.perf_counter()
        torch.mm(one, other)
        seconds.append(time.perf_counter() - started)
    return 2 * MATMUL_SIZE**3 / min(seconds)


def measure(model: Any, tokenizer: Any, rows: Sequence[dict[str, str]]) -> dict[str, float]:
    """Score all rows. Return the seconds, the mean IFD, the matrix rate, and what has to be computed.

    The latter are the `positions`, tokens of a text before its last one, and the `attended` pairs of a position and one
    up to it.
    """
    for row in rows[:WARM_UP]:
        losses(model, tokenizer, row)
    rate, started = matrix_rate(), time.perf_counter()
    found = [losses(model, tokenizer, row) for row in rows]
    seconds = time.perf_counter() - started
    ifd = sum(conditional / alone for _, conditional, alone, _ in found) / len(found)
    lengths = [length for one in found for length in one[3]]
    positions, attended = sum(n - 1 for n in lengths), sum(n * (n - 1) // 2 for n in lengths)
    rate = max(rate, matrix_rate())  # whatever else the machine did at the start
    return {"seconds": seconds, "positions": positions, "attended": attended, "ifd": ifd, "matrix_rate": rate}


def main() -> None:
    """Print the measurement."""
    model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
    rows = [json.loads(line) for line in Path(sys.argv[2]).read_text().splitlines()]
    print(json.dumps(measure(model, tokenizer, rows)))


if __name__ == "__main__":
    main()
