"""Near-duplicates among many seeds, compared with the exact similarity of all pairs."""

from __future__ import annotations

import random

from pipelines.execution.steps.near_repeats import MIN_SIMILARITY, NearRepeatFilter
from pipelines.rows.readers import SeedRow

GRAM = 5


def similarity(one: list[str], other: list[str]) -> float:
    first, second = ({tuple(text[n : n + GRAM]) for n in range(len(text) - GRAM + 1)} for text in (one, other))
    return len(first & second) / len(first | second)


def row(index: int, text: list[str]) -> SeedRow:
    return SeedRow(index, " ".join(text), "", "an answer")


def test_similar_texts_are_found_and_others_kept_beyond_the_first_size_of_the_table() -> None:
    rng, found = random.Random(5), NearRepeatFilter()
    texts = [[f"w{rng.randrange(3000)}" for _ in range(60)] for _ in range(1500)]
    assert not [index for index, text in enumerate(texts) if found.find(row(index, text))]
    for index in range(0, 1500, 50):
        near, far = [*texts[index]], [*texts[index]]
        near[0] = near[-1] = "changed"
        far[15] = far[30] = far[45] = "changed"
        assert similarity(near, texts[index]) > MIN_SIMILARITY + 0.1
        assert 0.5 < similarity(far, texts[index]) < MIN_SIMILARITY - 0.1
        assert not found.find(row(7000 + index, far))
        match = found.find(row(5000 + index, near))
        assert match and match.row == index
        assert abs(match.similarity - similarity(near, texts[index])) < 0.15
    assert not found.find(row(9000, [f"x{n}" for n in range(60)]))


def test_the_system_text_and_earlier_turns_count() -> None:
    found, text = NearRepeatFilter(), "Name the largest city of the country that lies north of Spain"
    assert not found.find(SeedRow(0, text, "", ""))
    assert not found.find(SeedRow(1, text, "", "", system="Reply as a pirate who has lost his ship at sea"))
    assert not found.find(SeedRow(2, text, "", "", history=("Let us talk about the weather in June", "With pleasure.")))
    assert found.find(SeedRow(3, text, "", "another answer"))
