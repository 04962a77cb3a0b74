"""Reads questions and reference answers from files of instructions, and answers by id for the other layouts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pipelines.evaluate.items.data_files import Record, read_records, require_fields
from pipelines.evaluate.items.item import Item
from pipelines.study.spec.evaluation.benchmarks import Benchmark

ReadAnswer = Callable[[Record, Path], tuple[str, tuple[str, ...]]]


def items(bench: Benchmark, path: Path) -> list[Item]:
    """Return the instructions of a file in its order. An `input` is appended on a new line; `dataset` is the category.

    Raises:
        InputError: The file cannot be read, or a row has no instruction.
    """
    return [_item(number, row, path) for number, row in enumerate(read_records(path)[: bench.limit])]


def _item(number: int, row: dict[str, Any], path: Path) -> Item:
    return Item(str(number), (("user", _instruction(row, path)),), kind=str(row.get("dataset", "")), data=row)


def _instruction(row: Record, path: Path) -> str:
    (text,) = require_fields(row, path, "instruction")
    return f"{text}\n{row['input']}" if row.get("input") else text


def read_references(path: Path, items: Sequence[Item]) -> dict[str, tuple[str, ...]]:
    """Return the answers of a file by the items' ids. Items and answers are matched by the instruction's text."""
    found = dict(_read_answer(row, path) for row in read_records(path))
    texts = {item.id: item.messages[0][1] for item in items}
    return {name: found[text] for name, text in texts.items() if text in found}


def answers_by_id(path: Path, items: Sequence[Item], read: ReadAnswer) -> dict[str, tuple[str, ...]]:
    """Return the answers of a file (all turns) by the items' ids. `read` returns the id and the answers of a row."""
    found = dict(read(row, path) for row in read_records(path))
    return {item.id: found[item.id] for item in items if item.id in found}


def _read_answer(row: Record, path: Path) -> tuple[str, tuple[str, ...]]:
    return _instruction(row, path), (str(row.get("output", row.get("response", ""))),)
