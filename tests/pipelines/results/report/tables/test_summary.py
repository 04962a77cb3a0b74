"""Derived figures: gains, best student, heat tables, totals, and how numbers read."""

from dataclasses import replace

import pytest

from pipelines.results.report.tables import number_format as format
from pipelines.results.report.tables.heatmap import heatmap_tables
from pipelines.results.report.tables.step_accounts import is_balanced, kind_totals
from pipelines.results.report.tables.summary import best_gain, cell_count, gain_rows, key_figures, sort_by_size
from tests.pipelines.results.report import sample


def test_gain_is_over_the_base_of_the_same_student_and_benchmark():
    data = sample.sample()
    bases = {r.student: r.value for r in data.results if r.round == -1}
    for row in gain_rows(data.results):
        if row.result.round == -1:
            assert row.delta is None
        else:
            assert row.delta == pytest.approx(row.result.value - bases[row.result.student])


def test_without_a_base_there_is_no_gain_and_the_best_is_the_highest():
    tuned = [result for result in sample.sample().results if result.round >= 0]
    top = best_gain(tuned)
    assert top is not None
    assert top.delta is None
    assert top.result.value == max(result.value for result in tuned)


def test_best_is_by_gain_not_by_a_strong_base():
    base, tuned = sample.sample().results[:2]
    strong = (replace(base, student="strong", value=90.0), replace(tuned, student="strong", value=91.0))
    top = best_gain((base, tuned, *strong))
    assert top is not None
    assert top.result.student == base.student


def test_a_gain_is_clear_only_where_intervals_do_not_overlap():
    base, tuned = sample.sample().results[:2]
    near = replace(tuned, value=base.value + 1, low=base.value - 2, high=base.value + 4)
    assert [row.is_significant for row in gain_rows((base, tuned, near))[1:]] == [True, False]


def test_cells_are_trained_cells_or_answered_sets():
    assert cell_count(sample.sample()) == 28
    assert cell_count(sample.foreign()) == len(sample.foreign().sets)


def test_key_figures_name_what_is_missing():
    notes = {figure.name: figure for figure in key_figures(sample.empty())}
    assert notes["Peak memory"].value == "–"
    assert notes["Trainings"].note == "no students"
    assert "Best student" not in notes


def test_heat_tables_hold_every_trained_cell_once():
    data = sample.sample()
    tables = heatmap_tables(data.results, data.model_sizes)
    found = [cell for table in tables for row in table.rows for cell in row.cells if cell]
    assert len(tables) == 2
    assert sum(cell.count for cell in found) == 28
    assert max(cell.shade for cell in found) == 1.0
    assert tables[0].rows[0].evolver == ""


def test_heat_cells_average_what_they_cannot_tell_apart():
    base, tuned = sample.sample().results[:2]
    twin = replace(tuned, selection="top", value=tuned.value + 10)
    (table,) = heatmap_tables((base, tuned, twin), sample.sample().model_sizes)
    cell = table.rows[0].cells[0]
    assert cell is not None
    assert (cell.count, cell.value) == (2, pytest.approx(tuned.value + 5))


def test_models_are_ordered_by_size_and_unknown_ones_last():
    assert sort_by_size(["big", "odd", "tiny", "", "big"], [("tiny", 1), ("big", 9)]) == ["tiny", "big", "odd"]


def test_totals_split_time_into_this_run_and_earlier_ones():
    step = replace(sample.sample().steps[0], actual_seconds=4.0, cached=True)
    (total,) = kind_totals((step, replace(step, cached=False, actual_seconds=3.0)))
    assert (total.steps, total.reused, total.ran, total.cached) == (2, 1, 3.0, 4.0)


def test_kinds_come_in_the_order_of_the_flow_and_unknown_ones_last():
    step = sample.sample().steps[0]
    kinds = ("audit", "evaluate", "evolve", "respond")
    assert [t.kind for t in kind_totals([replace(step, kind=kind) for kind in kinds])] == [
        "evolve",
        "respond",
        "evaluate",
        "audit",
    ]


def test_a_step_is_balanced_if_every_row_is_accounted_for():
    step = sample.sample().steps[0]
    assert is_balanced(step)
    assert not is_balanced(replace(step, failed=step.failed + 1))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.42, "0.4 s"),
        (12.4, "12 s"),
        (59.7, "60 s"),
        (252, "4 min 12 s"),
        (3599.6, "1 h 00 min"),
        (7380, "2 h 03 min"),
        (273_600, "3 d 04 h"),
    ],
)
def test_durations_read_well(seconds, words):
    assert format.duration(seconds) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "–"),
        (0, "0.00"),
        (0.01234, "0.0123"),
        (1.2345, "1.23"),
        (123.4, "123"),
        (12345.0, "12,345"),
        (1e-7, "1.00e-07"),
        (1e9, "1.00e+09"),
    ],
)
def test_three_digits_are_significant(value, words):
    assert format.significant_digits(value) == words


def test_signs_are_always_shown_and_sizes_are_short():
    assert (format.signed(3.14), format.signed(-2.0), format.signed(None)) == ("+3.1", "−2.0", "–")
    assert [format.parameters(n) for n in (870, 870_000, 3_600_000, 72_000_000_000)] == ["870", "870K", "3.6M", "72B"]


def test_times_are_shown_in_utc_to_the_minute_and_other_texts_unchanged():
    assert format.timestamp("2026-11-21T10:12:44+02:00") == "2026-11-21 08:12 UTC"
    assert [format.timestamp("yesterday"), format.timestamp("")] == ["yesterday", ""]
