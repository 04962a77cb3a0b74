"""The questions of AlpacaEval, Arena-Hard, MT-Bench and of any file of instructions, and answers to compare with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.errors import InputError
from pipelines.evaluate.items.data_files import read_records, require_fields
from pipelines.evaluate.items.item import Item
from pipelines.evaluate.judged.mt_bench import TEMPERATURES
from pipelines.study.spec.benchmarks import Benchmark


def items(bench: Benchmark, path: Path) -> list[Item]:
    """The questions in the file's order."""
    make = {"arena_hard": _arena_hard_item, "mt_bench": _mt_bench_item}.get(bench.kind, _instruction_item)
    return [make(number, row, path) for number, row in enumerate(read_records(path)[: bench.limit])]


def _instruction_item(number: int, row: dict[str, Any], path: Path) -> Item:
    (text,) = require_fields(row, path, "instruction")
    asked = f"{text}\n{row['input']}" if row.get("input") else text
    return Item(str(number), (("user", asked),), kind=str(row.get("dataset", "")), data=row)


def _arena_hard_item(number: int, row: dict[str, Any], path: Path) -> Item:
    del number
    name, prompt = require_fields(row, path, "uid", "prompt")
    return Item(name, (("user", prompt),), kind=str(row.get("cluster", "")), data=row)


def _mt_bench_item(number: int, row: dict[str, Any], path: Path) -> Item:
    del number
    name, category, (first, *later) = require_fields(row, path, "question_id", "category", "turns")
    heat = TEMPERATURES.get(category, 0.0)
    return Item(str(name), (("user", first),), kind=category, follow_up_turns=tuple(later), temperature=heat, data=row)


def read_references(bench: Benchmark, path: Path, items: Sequence[Item]) -> dict[str, tuple[str, ...]]:
    """The answers of a file (all turns) by the items' ids, in the benchmark's own layout.

    AlpacaEval's are found by their instruction. InputError if one is missing; MT-Bench has references for some only.
    """
    found = dict(_read_answer(bench, row, path) for row in read_records(path))
    by_text = bench.kind in ("alpaca_eval", "compare")
    known = {item.id: found.get(item.messages[0][1] if by_text else item.id) for item in items}
    missing = [name for name, answers in known.items() if answers is None]
    if missing and bench.kind != "mt_bench":
        message = f"has no answer to {len(missing)} of {len(items)} items, the first of them {missing[0]}"
        raise InputError(message, file=str(path), remedy="Name answers to the same questions.")
    return {name: answers for name, answers in known.items() if answers is not None}


def _read_answer(bench: Benchmark, row: Mapping[str, Any], path: Path) -> tuple[str, tuple[str, ...]]:
    if bench.kind == "arena_hard":
        name, messages = require_fields(row, path, "uid", "messages")
        said = messages[-1]["content"]
        return name, (said["answer"] if isinstance(said, dict) else said,)
    if bench.kind == "mt_bench":
        name, offered = require_fields(row, path, "question_id", "choices")
        return str(name), tuple(offered[0]["turns"])
    (instruction,) = require_fields(row, path, "instruction")
    asked = f"{instruction}\n{row['input']}" if row.get("input") else instruction
    return asked, (str(row.get("output", row.get("response", ""))),)
