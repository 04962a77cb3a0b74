"""Finds the public data of benchmarks, or makes synthetic data of the same shape, and says in a line which it is."""

from __future__ import annotations

import argparse
import itertools
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pipelines.errors import InputError
from pipelines.evaluate.items.data_files import read_records

COPIES = Path(__file__).parents[3] / "shared" / "data"  # the copies that the tests use
ALPACA = "alpaca/alpaca_data.jsonl.gz"
ALPACA_ORIGIN = "alpaca_data.json of github.com/tatsu-lab/stanford_alpaca"
ALPACA_ROWS = 52_002
# Alpaca's numbers of words: the least, the quantiles in steps of five percent, and about the most
WORDS = {
    "instruction": (3, 5, 6, 7, 7, 8, 8, 8, 9, 9, 10, 10, 10, 11, 11, 12, 12, 13, 14, 16, 25),
    "input": (1, 1, 2, 2, 3, 3, 4, 5, 5, 6, 6, 7, 8, 9, 10, 11, 13, 16, 20, 31, 70),
    "output": (1, 1, 4, 6, 8, 9, 11, 14, 18, 23, 30, 38, 46, 54, 61, 69, 77, 86, 99, 122, 300),
}
WITH_INPUT = 0.4  # share of rows
LEXICON = 40_000  # words: enough for a tokenizer with 32,000 tokens
Record = dict[str, Any]


def data_parser(description: str | None, what: str, origin: str) -> argparse.ArgumentParser:
    """Return a parser with the option --data, which takes `what` (as in: FILE) from `origin`."""
    parser = argparse.ArgumentParser(description=description)
    text = f"{origin}; default: the copy that the tests use or, without one, a synthetic set of the same shape"
    parser.add_argument("--data", type=Path, metavar=what, help=text)
    return parser


def find_data(
    given: Path | None, names: Sequence[str], origin: str, make: Callable[[Path], Path], folder: Path
) -> Path:
    """Return the given file or folder, the tests' copy, or what `make` writes to `folder`; print which of them.

    Without `given`, `names` are the files that the tests' copies must have; a single one is returned itself.

    Raises:
        SystemExit: The given file or folder does not exist.
    """
    if given is not None:
        if not given.exists():
            raise SystemExit(f"{given} does not exist: --data takes {origin}")
        print(f"data: {given}")
        return given
    if missing := [name for name in names if not (COPIES / name).is_file()]:
        made = make(folder)
        print(f"data: SYNTHETIC, as there is no {missing[0]}. Its figures are not those of the public data, which is")
        print(f"      {origin}; pass it with --data")
        return made
    print(f"data: {COPIES / names[0] if len(names) == 1 else COPIES} ({origin})")
    return COPIES / names[0] if len(names) == 1 else COPIES


def find_alpaca(given: Path | None, folder: Path) -> Path:
    """Return a file of Alpaca's layout, as `find_data` does."""
    return find_data(given, [ALPACA], ALPACA_ORIGIN, synthetic_alpaca, folder)


def alpaca_rows(file: Path) -> list[Record]:
    """Return the rows of a file of Alpaca's layout that have an answer.

    Raises:
        SystemExit: The file cannot be read, or its rows have no answers.
    """
    try:
        rows = [row for row in read_records(file) if row.get("output")]
    except InputError as error:
        raise SystemExit(str(error)) from None
    if not rows or not rows[0].keys() >= WORDS.keys():
        raise SystemExit(f"{file}: its rows must have {', '.join(WORDS)}, as those of {ALPACA_ORIGIN}")
    return rows


def synthetic_alpaca(folder: Path, count: int = ALPACA_ROWS) -> Path:
    """Write rows of made-up words, as many and as long as Alpaca's, and return the file."""
    draw = random.Random(0)
    words = _words(draw)
    weights = list(itertools.accumulate(1 / (rank + 3) for rank in range(len(words))))  # frequencies as in any language

    def text(field: str) -> str:
        step = draw.randrange(len(WORDS[field]) - 1)
        return " ".join(draw.choices(words, cum_weights=weights, k=draw.randint(*WORDS[field][step : step + 2])))

    path = folder / "synthetic_alpaca.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for _ in range(count):
            row = {"instruction": text("instruction"), "input": "", "output": text("output")}
            row |= {"input": text("input")} if draw.random() < WITH_INPUT else {}
            file.write(json.dumps(row) + "\n")
    return path


def _words(draw: random.Random) -> list[str]:
    parts = [first + vowel + last for first in "bcdfghklmnprstvw" for vowel in "aeiou" for last in ("", *"lnrst")]
    made = {"".join(draw.choices(parts, k=draw.choice((1, 2, 2, 3)))) for _ in range(2 * LEXICON)}
    return sorted(made, key=lambda word: (len(word), word))[:LEXICON]
