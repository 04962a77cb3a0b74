"""Totals of a stream count each row once, also if a worker is killed and its partitions are processed again."""

from __future__ import annotations

from pipelines.execution.stream.totals import PartitionProgress, StepProgress, StepTotal, StreamTotals


def report(partition: int, rows: int, first: bool = False, last: bool = False) -> PartitionProgress:
    return PartitionProgress("s", partition, {"a": StepProgress(rows, 1, 0, 0.5)} if rows else {}, first, last)


def test_reports_of_several_partitions_add_up() -> None:
    totals = StreamTotals()
    for each in (report(0, 3, first=True), report(1, 4, first=True), report(0, 5), report(0, 0, last=True)):
        totals.add(each)
    assert totals.by_step() == {"a": StepTotal(12, 3, 0, 1.5)}


def test_another_attempt_at_a_partition_replaces_the_first() -> None:
    totals = StreamTotals()
    for each in (report(0, 3, first=True), report(0, 100), report(0, 2, first=True), report(0, 7)):
        totals.add(each)
    assert totals.by_step()["a"].rows == 2 + 7


def test_another_attempt_at_a_finished_partition_counts_for_nothing() -> None:
    totals = StreamTotals()
    for each in (report(0, 3, first=True), report(0, 0, last=True), report(0, 3, first=True), report(0, 0, last=True)):
        totals.add(each)
    assert totals.by_step()["a"].rows == 3
