"""The questions of AlpacaEval, Arena-Hard, MT-Bench and of any file of instructions, and answers to compare with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.errors import InputError
from pipelines.evaluate.items.data_files import need, records
from pipelines.evaluate.items.item import Item
from pipelines.evaluate.judged.mt_bench import TEMPERATURES
from pipelines.study.spec.benchmarks import Benchmark


def items(bench: Benchmark, path: Path) -> list[Item]:
    """The questions in the file's order."""
    make = {"arena_hard": _arena, "mt_bench": _turns}.get(bench.kind, _instruction)
    return [make(number, row, path) for number, row in enumerate(records(path)[: bench.limit])]


def _instruction(number: int, row: dict[str, Any], path: Path) -> Item:
    (text,) = need(row, path, "instruction")
    asked = f"{text}\n{row['input']}" if row.get("input") else text
    return Item(str(number), (("user", asked),), kind=str(row.get("dataset", "")), data=row)


def _arena(number: int, row: dict[str, Any], path: Path) -> Item:
    del number
    name, prompt = need(row, path, "uid", "prompt")
    return Item(name, (("user", prompt),), kind=str(row.get("cluster", "")), data=row)


def _turns(number: int, row: dict[str, Any], path: Path) -> Item:
    del number
    name, category, (first, *later) = need(row, path, "question_id", "category", "turns")
    heat = TEMPERATURES.get(category, 0.0)
    return Item(str(name), (("user", first),), kind=category, later=tuple(later), temperature=heat, data=row)


def references(bench: Benchmark, path: Path, asked: Sequence[Item]) -> dict[str, tuple[str, ...]]:
    """The answers of a file (all turns) by the items' ids, in the benchmark's own layout.

    AlpacaEval's are found by their instruction. InputError if one is missing; MT-Bench has references for some only.
    """
    found = dict(_answer(bench, row, path) for row in records(path))
    by_text = bench.kind in ("alpaca_eval", "compare")
    known = {item.id: found.get(item.messages[0][1] if by_text else item.id) for item in asked}
    missing = [name for name, answers in known.items() if answers is None]
    if missing and bench.kind != "mt_bench":
        message = f"has no answer to {len(missing)} of {len(asked)} items, the first of them {missing[0]}"
        raise InputError(message, file=str(path), remedy="Name answers to the same questions.")
    return {name: answers for name, answers in known.items() if answers is not None}


def _answer(bench: Benchmark, row: Mapping[str, Any], path: Path) -> tuple[str, tuple[str, ...]]:
    if bench.kind == "arena_hard":
        name, messages = need(row, path, "uid", "messages")
        said = messages[-1]["content"]
        return name, (said["answer"] if isinstance(said, dict) else said,)
    if bench.kind == "mt_bench":
        name, offered = need(row, path, "question_id", "choices")
        return str(name), tuple(offered[0]["turns"])
    (instruction,) = need(row, path, "instruction")
    asked = f"{instruction}\n{row['input']}" if row.get("input") else instruction
    return asked, (str(row.get("output", row.get("response", ""))),)
