"""The worked example of a rule: of the pairs of a seed, it takes the best one."""

from __future__ import annotations

from pathlib import Path

from pipelines.operators.select.select import select_pairs
from pipelines.rows.types import ResponseRow
from pipelines.study.spec.pairs.selection import Selection
from tests.support.examples import use_example


def pair(number: int, seed: str, words: int) -> ResponseRow:
    return ResponseRow(f"{number:032x}", "p", seed, number, " ".join(["word"] * words), "", "answer", "stop", 1, 1)


def test_one_pair_of_each_seed_is_chosen(tmp_path: Path) -> None:
    use_example("one_per_seed.py", tmp_path)
    pairs = [pair(0, "a", 5), pair(1, "a", 2), pair(2, "b", 1), pair(3, "b", 9), pair(4, "c", 7)]
    selection = Selection(name="one", by="words", rule="one_per_seed")
    chosen, others = select_pairs(pairs, {}, selection, 0, "key")
    assert [row.index for row in chosen] == [1, 2, 4]
    assert {row.reason for row in others} == {"not_selected"}
    fewer, _ = select_pairs(pairs, {}, Selection(name="one", by="words", rule="one_per_seed", size=2), 0, "key")
    assert [row.index for row in fewer] == [1, 2]
