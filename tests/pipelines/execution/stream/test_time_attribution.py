"""Overlapping steps share the stream's time by their engines' busy time and by what their requests waited."""

from __future__ import annotations

import pytest

from pipelines.execution.stream.time_attribution import attribute_time
from pipelines.execution.stream.totals import StepTotal
from pipelines.study.graph.steps.params.measures import ScoreParams
from pipelines.study.graph.steps.step import Step, identify, make_step


def step(name: str, model: str) -> Step:
    return make_step(identify(ScoreParams, {"name": name}), name, ScoreParams(model), ())


A, B, C = step("a", "small"), step("b", "small"), step("c", "large")


def test_the_parts_add_up_to_the_wall_time() -> None:
    totals = {
        A.key: StepTotal(request_seconds=3.0),
        B.key: StepTotal(request_seconds=1.0),
        C.key: StepTotal(request_seconds=100.0),
    }
    seconds = attribute_time((A, B, C), totals, {"small": 10.0, "large": 30.0}, 80.0)
    assert seconds == {A.key: pytest.approx(15.0), B.key: pytest.approx(5.0), C.key: pytest.approx(60.0)}


def test_steps_that_asked_nothing_took_no_time() -> None:
    assert attribute_time((A, C), {}, {"small": 0.0, "large": 0.0}, 5.0) == {A.key: 0.0, C.key: 0.0}
