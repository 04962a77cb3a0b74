"""A process hangs if it neither advances nor computes; one that is only slow does not hang."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from actors.serving.liveness.stall import StallDetector

TICK = 2.0


def hangs_after(observations: Iterable[tuple[Hashable, float]], patience: float = 120.0) -> float | None:
    """Return the seconds until the detector reports a hang, for one (progress, CPU seconds) per tick."""
    detector, now = StallDetector(patience, 30 * patience, 2 * TICK, 0.0), 0.0
    for progress, cpu_seconds in observations:
        now += TICK
        if detector.observe(now, progress, cpu_seconds):
            return now
    return None


def test_neither_progress_nor_cpu_time_is_a_hang():
    assert hangs_after([(7, 1.0)] * 100) == 124  # the first observation is the start


def test_a_process_that_advances_rarely_does_not_hang():
    assert hangs_after([(tick // 50, 0.0) for tick in range(10_000)]) is None


def test_a_process_that_computes_a_little_is_slow():
    assert hangs_after([(7, 0.02 * tick) for tick in range(1700)]) is None


def test_a_process_that_only_computes_spins():
    assert hangs_after([(7, 2.0 * tick) for tick in range(3000)]) == 3604


def test_a_step_may_take_ten_times_the_longest_so_far():
    slow = [(tick // 45, 0.0) for tick in range(90)]  # steps of 90 s
    assert hangs_after([*slow, *[("last", 0.0)] * 500]) == 2 * len(slow) + 882 + TICK
    assert hangs_after([*[(tick, 0.0) for tick in range(90)], *[("last", 0.0)] * 400]) == 2 * 90 + 124


def test_time_in_which_the_observer_was_stopped_does_not_count():
    detector = StallDetector(120.0, 3600.0, 4.0, 0.0)
    assert not detector.observe(2.0, 7, 1.0)
    assert not detector.observe(10_000.0, 7, 1.0)
    assert not detector.observe(10_100.0, 7, 1.0)


def test_a_process_without_work_does_not_hang():
    detector = StallDetector(120.0, 3600.0, 1000.0, 0.0)
    detector.observe(2.0, 7, 1.0)
    detector.rest(900.0)
    assert not detector.observe(1000.0, 7, 1.0)
    assert not detector.observe(1100.0, 7, 1.0)
    assert detector.observe(1121.0, 7, 1.0)
