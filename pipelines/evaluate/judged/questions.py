"""Questions of a file of instructions, in their order, and answers to them; what other layouts have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.evaluate.items.data_files import Record, read_records, require_fields
from pipelines.evaluate.items.item import Item
from pipelines.study.spec.benchmarks import Benchmark

ReadAnswer = Callable[[Record, Path], tuple[str, tuple[str, ...]]]


def items(bench: Benchmark, path: Path) -> list[Item]:
    """The instructions of a file; an `input` follows in the next line, `dataset` is the category."""
    return [_item(number, row, path) for number, row in enumerate(read_records(path)[: bench.limit])]


def _item(number: int, row: dict[str, Any], path: Path) -> Item:
    return Item(str(number), (("user", _instruction(row, path)),), kind=str(row.get("dataset", "")), data=row)


def _instruction(row: Record, path: Path) -> str:
    (text,) = require_fields(row, path, "instruction")
    return f"{text}\n{row['input']}" if row.get("input") else text


def read_references(path: Path, items: Sequence[Item]) -> dict[str, tuple[str, ...]]:
    """The answers of a file by items' ids; they are found by their instruction."""
    found = answers_by_name(path, _read_answer)
    texts = {item.id: item.messages[0][1] for item in items}
    return {name: found[text] for name, text in texts.items() if text in found}


def answers_by_name(path: Path, read: ReadAnswer) -> dict[str, tuple[str, ...]]:
    """The answers of a file, all turns each; `read` finds a row's name and answers."""
    return dict(read(row, path) for row in read_records(path))


def _read_answer(row: Mapping[str, Any], path: Path) -> tuple[str, tuple[str, ...]]:
    return _instruction(row, path), (str(row.get("output", row.get("response", ""))),)
