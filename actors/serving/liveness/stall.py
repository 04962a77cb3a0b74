"""Tells a process that hangs from one that is slow."""

from __future__ import annotations

from collections.abc import Hashable

PACE_FACTOR = 10  # how many times longer than the longest step so far a step may take


class StallDetector:
    """Observes the progress and the CPU time of a process that has work to do.

    Slow work is not a stall: on a machine that is a hundred times slower, an engine gets less CPU time, and its steps
    take longer. So a process hangs if neither its progress nor its CPU time has changed for `patience` seconds, and a
    process that uses the CPU spins if there is no progress for `spin_patience` seconds. If a step has taken longer
    than a tenth of a limit, the limit is ten times that: it may have waited for a disk or for another process.
    """

    def __init__(self, patience: float, spin_patience: float, longest_tick: float, now: float) -> None:
        """Create a detector.

        Args:
            patience: Seconds without any change after which a process hangs.
            spin_patience: Seconds without progress after which it hangs although it uses the CPU.
            longest_tick: The most seconds that count between two observations: beyond it, the observer was stopped.
            now: The time in seconds, as for all other methods.
        """
        self._patience, self._spin_patience, self._longest_tick = patience, spin_patience, longest_tick
        self._longest_step = 0.0  # a lower bound, from the observations between which nothing changed
        self._last: tuple[Hashable, float] | None = None
        self._now = now
        self._without_change = self._without_progress = 0.0

    @property
    def seconds_without_progress(self) -> float:
        """Seconds since the last progress."""
        return self._without_progress

    def rest(self, now: float) -> None:
        """Record that the process has no work to do."""
        self._last, self._now = None, now

    def observe(self, now: float, progress: Hashable, cpu_seconds: float) -> bool:
        """Record the progress and the CPU time so far of a process that has work to do; return whether it hangs."""
        passed, self._now = min(now - self._now, self._longest_tick), now
        before, self._last = self._last, (progress, cpu_seconds)
        if before is None or progress != before[0]:
            self._longest_step = max(self._longest_step, self._without_progress if before else 0.0)
            self._without_change = self._without_progress = 0.0
            return False
        self._without_progress += passed
        self._without_change = 0.0 if cpu_seconds > before[1] else self._without_change + passed
        return self._without_change > self._limit(self._patience) or self._without_progress > self._limit(
            self._spin_patience
        )

    def _limit(self, seconds: float) -> float:
        return max(seconds, PACE_FACTOR * self._longest_step)
