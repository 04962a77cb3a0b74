"""The speed of trainings on the page."""

from __future__ import annotations

from dataclasses import replace

from pipelines.results.report.plots import speeds
from tests.pipelines.results.report.sample import sample


def test_tokens_and_mfu_have_a_panel_each_with_the_peak_told() -> None:
    data = sample()
    figure = speeds(data)
    assert figure is not None
    assert [panel.title for panel in figure.panels] == ["input tokens per second", "MFU, %"]
    assert "0.15 TFLOP/s, measured on 2 threads" in figure.note and "Up to 4 LoRA students" in figure.note


def test_without_speeds_there_is_no_figure() -> None:
    data = sample()
    assert speeds(replace(data, losses=tuple(replace(curve, tokens_per_second=0.0) for curve in data.losses))) is None
