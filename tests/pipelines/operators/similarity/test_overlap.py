"""What counts as an overlap: shared runs of words, whatever their case and punctuation, and near embeddings."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.operators.similarity.overlap import NgramIndex, Overlap, near_duplicates, ngrams

TASK = "Janet's ducks lay 16 eggs per day. She eats three for breakfast every morning and bakes muffins."
SOURCES = {
    "gsm": ["Too short.", TASK, f"{TASK} How much is left?"],
    "code": ["Write a function that adds two numbers."],
}


def test_ngrams_are_runs_of_words() -> None:
    assert list(ngrams("One, two -- THREE four!", 3)) == ["one two three", "two three four"]
    assert list(ngrams("one two", 3)) == []


def test_a_copied_task_is_found_whatever_surrounds_it() -> None:
    index = NgramIndex(SOURCES, 13)
    (found,) = index.overlaps(f"Solve this: {TASK.upper().replace('.', ' ;')} Thanks")
    assert (found.source, found.measure, found.task) == ("gsm", "13-gram", 1)
    assert found.value == len(list(ngrams(TASK, 13)))
    assert found.shared.startswith("janet s ducks lay 16 eggs")


def test_the_task_that_shares_most_is_told() -> None:
    assert [found.task for found in NgramIndex(SOURCES, 13).overlaps(SOURCES["gsm"][2])] == [2]


@pytest.mark.parametrize(("words", "found"), [(12, 0), (13, 1)])
def test_one_shared_run_of_n_words_is_an_overlap_and_n_less_1_are_none(words: int, found: int) -> None:
    text = "Unlike before " + " ".join(TASK.split()[:words]) + " nothing else is alike"
    assert (
        len(NgramIndex({"gsm": [TASK.replace("Janet's", "Janets")]}, 13).overlaps(text.replace("Janet's", "Janets")))
        == found
    )


def test_every_source_has_an_overlap_of_its_own() -> None:
    index = NgramIndex(SOURCES, 5)
    text = f"{TASK} Then write a function that adds two numbers."
    assert [(one.source, one.task) for one in index.overlaps(text)] == [("gsm", 1), ("code", 0)]


def test_tasks_that_are_too_short_are_counted() -> None:
    assert NgramIndex(SOURCES, 13).short == {"gsm": 1, "code": 1}


def test_near_duplicates_are_those_with_a_cosine_from_the_threshold_on() -> None:
    rows = np.array([[1, 0], [0.8, 0.6], [0, 1]], dtype=np.float32)
    tasks = np.array([[0.6, -0.8], [1, 0]], dtype=np.float32)
    found = near_duplicates(rows, "b", ["one", "two"], tasks, 0.8)
    assert found[0] == Overlap("b", "near", 1, 1.0, "two")
    assert found[1].value == pytest.approx(0.8)
    assert set(found) == {0, 1}
