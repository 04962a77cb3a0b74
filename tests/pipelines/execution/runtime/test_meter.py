"""The peak memory of a run: it is read only when memory has grown, as reading it is slow."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipelines.execution.runtime import meter as metering
from pipelines.execution.runtime.meter import ResourceMeter, metered


def test_the_proportional_memory_is_read_again_only_after_growth(monkeypatch: pytest.MonkeyPatch) -> None:
    meter, read = ResourceMeter(), list[int]()
    resident: Iterator[int] = iter((100, 101, 150, 120, 152, 200))

    def next_resident(processes: object) -> int:
        found = next(resident)
        if found == 200:
            meter.stopped.set()
        read.append(found)
        return found

    proportional = list[int]()
    monkeypatch.setattr(metering, "MEMORY_SAMPLE_SECONDS", 0.0)
    monkeypatch.setattr(metering, "_resident_bytes", next_resident)
    monkeypatch.setattr(
        metering, "_proportional_bytes", lambda processes: proportional.append(read[-1]) or read[-1] // 2
    )
    meter.sample()
    assert proportional == [100, 150, 200] and meter.peak_bytes == 100


def test_the_peak_of_this_process_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metering, "MEMORY_SAMPLE_SECONDS", 0.01)
    with metered() as meter:
        while not meter.peak_bytes:
            meter.stopped.wait(0.01)
    assert meter.peak_bytes > 10 * 2**20
