"""Which rows come in which step and on which worker, how they lie in a forward pass, and the learning rate."""

from __future__ import annotations

import pytest

from actors.chat import IGNORED
from actors.train_batches import Course, answer_tokens, laid_out, passes
from actors.train_spec import TrainError, TrainSpec, accumulation_steps, learning_rate, step_count, warmup_count

ROWS = [{"input_ids": [n] * (n % 3 + 2), "labels": [IGNORED] + [n] * (n % 3 + 1)} for n in range(1, 12)]


def spec(**changes) -> TrainSpec:
    return TrainSpec("base", **changes)


def ids(rows) -> list[int]:
    return [row["input_ids"][0] for row in rows]


def test_an_epoch_has_every_row_once_and_an_order_of_its_own() -> None:
    course = Course(ROWS, spec(batch_size=4, epochs=2, seed=3))
    first, second = ([n for step in steps for n in ids(course.rows(step))] for steps in (range(3), range(3, 6)))
    assert sorted(first) == sorted(second) == ids(ROWS)
    assert first != second
    assert [len(course.rows(step)) for step in range(7)] == [4, 4, 3, 4, 4, 3, 0]
    again = Course(ROWS, spec(batch_size=4, epochs=2, seed=3))
    assert [ids(again.rows(step)) for step in (5, 0)] == [ids(course.rows(step)) for step in (5, 0)]
    assert ids(Course(ROWS, spec(seed=4)).rows(0)) != ids(Course(ROWS, spec(seed=3)).rows(0))


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_all_workers_together_see_the_rows_of_the_step(workers: int) -> None:
    parts = [[*passes([ROWS], 2, worker, workers)] for worker in range(workers)]
    assert len({len(part) for part in parts}) == 1, "all take part in every pass"
    assert sorted(ids(row for part in parts for one in part for row in one[0])) == ids(ROWS)
    assert all(len(one[0]) <= 2 for part in parts for one in part)


@pytest.mark.parametrize("packing", [False, True])
def test_students_have_equally_many_tokens_in_every_pass(packing: bool) -> None:
    for rows in passes([ROWS, ROWS[:3], []], 2, 0, 1):
        batch = laid_out(rows, 0, packing)
        for one, targets in zip(rows, batch.targets.reshape(3, -1), strict=True):
            assert sum(target != IGNORED for target in targets.tolist()) == answer_tokens(one)
        assert batch.row_lengths is None or sum(batch.row_lengths) == batch.targets.numel()


def test_padding_is_neither_attended_to_nor_learned() -> None:
    batch = laid_out(
        [[{"input_ids": [5, 6, 7], "labels": [IGNORED, 6, 7]}, {"input_ids": [5], "labels": [5]}]], 0, False
    )
    assert batch.inputs["input_ids"].tolist() == [[5, 6, 7], [5, 0, 0]]
    assert batch.inputs["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch.targets.tolist() == [[6, 7, IGNORED], [IGNORED] * 3]


def test_packed_rows_keep_their_positions_and_learn_nothing_across_their_ends() -> None:
    batch = laid_out([ROWS[:3]], 0, packing=True)
    assert batch.inputs["input_ids"].tolist() == [[1, 1, 1, 2, 2, 2, 2, 3, 3]]
    assert batch.inputs["position_ids"].tolist() == [[0, 1, 2, 0, 1, 2, 3, 0, 1]]
    assert batch.row_lengths == (3, 4, 2)
    assert batch.targets.tolist() == [[1, 1, IGNORED, 2, 2, 2, IGNORED, 3, IGNORED]]


def test_answer_tokens_are_counted_over_rows() -> None:
    assert answer_tokens(ROWS[:3]) == 2 + 3 + 1


def test_steps_and_warm_up_of_the_papers() -> None:
    alpaca = spec(batch_size=64, epochs=3, warmup_ratio=0.03)  # 2412.11231, Table 6
    assert step_count(alpaca, 51_983) == 2_439
    assert warmup_count(alpaca, 2_439) == 74
    magpie = spec(batch_size=32, epochs=2, warmup_steps=100)  # 2411.07133, Table 5
    assert step_count(magpie, 100_000) == 6_250
    assert warmup_count(magpie, 6_250) == 100


def test_the_rate_warms_up_and_falls_as_half_a_cosine() -> None:
    recipe = spec(learning_rate=2e-5, warmup_steps=100)
    rates = [learning_rate(recipe, step, 1100) for step in (0, 50, 100, 600, 1100, 1200)]
    assert rates == pytest.approx([0, 1e-5, 2e-5, 1e-5, 0, 0])


@pytest.mark.parametrize(("workers", "size", "passes"), [(8, 1, 8), (4, 1, 16), (1, 64, 1)])
def test_the_batch_is_the_recipes_on_any_number_of_workers(workers: int, size: int, passes: int) -> None:
    assert accumulation_steps(spec(batch_size=64, micro_batch_size=size), workers) == passes
    with pytest.raises(TrainError, match="multiple of"):
        accumulation_steps(spec(batch_size=64, micro_batch_size=size), 3)
