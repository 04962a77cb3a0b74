"""Progress is readable however slow a step is, and says when replies are cut off."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from actors.serving.spec import ReplicaStats
from pipelines.execution.runtime import progress
from pipelines.execution.runtime.progress import ProgressDisplay, rate_text, time_text
from pipelines.execution.stream.engine_pace import EnginePace


@pytest.mark.parametrize(("rate", "text"), [(250.0, "250.0/s"), (1.0, "1.0/s"), (0.05, "3.0/min"), (0.001, "3.6/h")])
def test_a_rate_is_never_zero(rate: float, text: str) -> None:
    assert rate_text(rate) == text


@pytest.mark.parametrize(("seconds", "text"), [(9.6, "10 s"), (600.0, "10 min"), (10_000.0, "2 h 47 min")])
def test_a_duration_is_readable(seconds: float, text: str) -> None:
    assert time_text(seconds) == text


def test_a_slow_step_shows_its_pace_from_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    display = ProgressDisplay(Console(file=io.StringIO(), width=200))
    for passed, done in ((0.0, 0), (60.0, 0), (300.0, 10)):
        now = 1000.0 + passed
        display.update("key", "respond small", done, 40, "21 tokens/s")
    file = display.console.file
    assert isinstance(file, io.StringIO)
    assert file.getvalue().splitlines() == [
        "  respond small: 0/40, after 60 s, 21 tokens/s",
        "  respond small: 10/40, 2.0/min, 15 min left, 21 tokens/s",
    ]


def test_time_before_the_last_changes_does_not_slow_a_step_down(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    display = ProgressDisplay(Console(file=io.StringIO(), width=200))
    display.update("key", "respond small", 0, 100)
    for done in range(1, 21):
        now = 1000.0 + 10 * done
        display.update("key", "respond small", done, 100)
    assert display.pace("key", 20, 100, "") == "6.0/min, 13 min left"


def test_cut_replies_are_reported_with_the_remedy_when_they_are_many() -> None:
    pace = EnginePace(ReplicaStats(replies=100, cut=100))
    assert pace.describe() == pace.warning() == ""
    pace.observe(ReplicaStats(replies=150, cut=104))
    assert pace.describe() == "8% cut off" and pace.warning() == ""
    pace.observe(ReplicaStats(replies=150, cut=129))
    assert pace.describe() == "58% cut off: raise max_tokens"
    assert pace.warning().startswith("58% of 50 replies were cut off at the limit of tokens: raise 'max_tokens'")


def test_tokens_per_second_are_those_written_or_else_those_read() -> None:
    pace = EnginePace(ReplicaStats())
    pace.observe(ReplicaStats(tokens_in=7))
    assert "tokens/s" in pace.describe()
