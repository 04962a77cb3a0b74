"""The items of the miniatures' benchmarks: tasks of the closed world in the layout of each benchmark's own file."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bundled.world import WorldTask, heldout
from bundled.world.formats import Format
from bundled.world.lexicon import WORDS

ITEMS = 24
EXAMPLES = 5  # of FollowBench, each with five levels
WRONG_EVERY = 2  # every second reference answer is wrong, so that students win some comparisons
Row = dict[str, Any]


def write_items(name: str, path: Path, seed: int) -> None:
    """Write a file of items or of reference answers: the same for the same seed."""
    rows = _WRITERS[name](seed)
    text = json.dumps(rows) if path.suffix == ".json" else "".join(json.dumps(row) + "\n" for row in rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _tasks(seed: int) -> list[WorldTask]:
    return heldout(ITEMS, seed, (0, 1))


def _reference(number: int, task: WorldTask) -> str:
    return task.answer if number % WRONG_EVERY else task.instruction.split()[-1].strip(".")


def _alpaca_eval(seed: int) -> list[Row]:
    return [
        {"instruction": task.instruction, "output": _reference(number, task), "dataset": "world"}
        for number, task in enumerate(_tasks(seed))
    ]


def _arena_hard(seed: int) -> list[Row]:
    return [{"uid": str(number), "prompt": task.instruction} for number, task in enumerate(_tasks(seed + 1))]


def _arena_hard_reference(seed: int) -> list[Row]:
    return [
        {"uid": str(number), "messages": [{"role": "assistant", "content": {"answer": _reference(number, task)}}]}
        for number, task in enumerate(_tasks(seed + 1))
    ]


def _mt_bench(seed: int) -> list[Row]:
    first, second = _tasks(seed + 2), _tasks(seed + 3)
    return [
        {"question_id": number, "category": "extraction", "turns": [one.instruction, other.instruction]}
        for number, (one, other) in enumerate(zip(first, second, strict=True))
    ]


def _mt_bench_reference(seed: int) -> list[Row]:
    first, second = _tasks(seed + 2), _tasks(seed + 3)
    return [
        {"question_id": number, "choices": [{"turns": [one.answer, other.answer]}]}
        for number, (one, other) in enumerate(zip(first, second, strict=True))
    ]


def _formats(seed: int, number: int) -> list[Format]:
    """Return five formats that do not exclude one another."""
    draw = random.Random(f"formats {seed} {number}")
    start, end, used, unused = draw.sample(WORDS, 4)
    found = [Format("without", unused), Format("most", "9"), Format("with", used), Format("start", start)]
    return [*found, Format("end", end)]


def _ifeval(seed: int) -> list[Row]:
    rows: list[Row] = []
    for number, task in enumerate(heldout(ITEMS, seed + 4, (0,))):
        draw = random.Random(f"ifeval {seed} {number}")
        chosen = draw.sample(_formats(seed, number), draw.choice((1, 1, 2)))
        rows.append({"prompt": " ".join([task.instruction, *(one.render(draw) for one in chosen)])})
    return rows


def _followbench(seed: int) -> list[Row]:
    rows: list[Row] = []
    for number, task in enumerate(heldout(EXAMPLES, seed + 5, (0,))):
        draw = random.Random(f"followbench {seed} {number}")
        texts = [task.instruction, *(one.render(draw) for one in _formats(seed, number))]
        shared = {"category": "content", "example_id": 100 + number, "source": "world", "target": ""}
        rows += [shared | {"level": level, "instruction": " ".join(texts[: level + 1])} for level in range(len(texts))]
    return rows


_WRITERS: Mapping[str, Callable[[int], list[Row]]] = {
    "alpaca_eval.json": _alpaca_eval,
    "arena_hard.jsonl": _arena_hard,
    "arena_hard_reference.jsonl": _arena_hard_reference,
    "mt_bench.jsonl": _mt_bench,
    "mt_bench_reference.jsonl": _mt_bench_reference,
    "ifeval.jsonl": _ifeval,
    "followbench.jsonl": _followbench,
}
FILES = tuple(_WRITERS)
