"""What trackers get of a run, and what they can do to it: nothing."""

from __future__ import annotations

import threading
from importlib import util
from typing import Any

import pytest

from pipelines.api.plans import plan_study
from pipelines.errors import InputError
from pipelines.execution.trackers import worker as worker_module
from pipelines.execution.trackers.backend import safe_line
from pipelines.execution.trackers.facts import LIVE_LOSS, LOSS
from pipelines.execution.trackers.tracking import tracking
from pipelines.study.file.load import load_values
from tests.pipelines.execution.trackers.conftest import CONTENT, FakeBackend


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> FakeBackend:
    fake = FakeBackend()
    monkeypatch.setattr("pipelines.execution.trackers.tracking.make_backend", lambda *_: fake)
    return fake


def run(study: Any, work: Any = lambda: None) -> None:
    with study.display, tracking(study.loaded, study.store, study.plan, study.display):
        work()


def test_a_training_has_its_losses_scores_and_costs(tracked: Any, backend: FakeBackend) -> None:
    study = tracked("tensorboard")

    def work() -> None:
        study.train(1, 4)
        study.finish_training()
        study.finish_evaluations()

    run(study, work)
    assert backend.of(LIVE_LOSS) == backend.of(LOSS) == [(n, 1 / n) for n in range(1, 5)]
    assert backend.of("score/sums") == [(4, 100.0)] and backend.of("cost/tokens") == [(4, 80.0)]
    assert [value for _, value in backend.of("score/sums/tiny untuned")] == [50.0]
    assert backend.of("seconds/train") == [(1, 3.0)] and [step for step, _ in backend.of("steps_done")] == [1, 2, 3]
    assert backend.configs[study.training.label]["epochs"] == 1 and backend.closed == 1
    assert "study tracked" in backend.configs and len(backend.configs) == 2


def test_a_resumed_run_logs_nothing_twice_and_what_was_missed(tracked: Any, backend: FakeBackend) -> None:
    study = tracked("tensorboard")
    run(study, lambda: study.train(1, 3))  # interrupted; its last checkpoint is that of step 1
    run(study, lambda: study.train(2, 4))
    assert backend.of(LIVE_LOSS) == [(n, 1 / n) for n in range(1, 5)]
    study.finish_training()  # by a driver that was killed before the tracker heard of it
    for _ in range(2):
        run(study)
    assert len(backend.of(LOSS)) == 4 and len(backend.of("seconds/train")) == 1


def test_another_place_gets_everything(tracked: Any, backend: FakeBackend) -> None:
    study = tracked("tensorboard")
    study.finish_training()
    run(study)
    run(tracked({"tracker": "tensorboard", "dir": "elsewhere"}))
    assert len(backend.of(LOSS)) == 8


def test_a_failing_tracker_is_one_line_without_secrets(
    tracked: Any, backend: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "very-secret-key")
    backend.error = ConnectionError("https://me:mypass@host refused very-secret-key")
    study = tracked("wandb")

    def work() -> None:
        study.train(1, 4)
        study.finish_training()

    run(study, work)
    told = [line for line in study.output.getvalue().splitlines() if "tracker wandb" in line]
    assert len(told) == 1 and "ConnectionError: https://***@host refused ***" in told[0]
    assert "secret" not in study.output.getvalue() and backend.closed == 1
    assert [thread for thread in threading.enumerate() if thread.name == "tracker wandb"] == []


def test_a_tracker_that_hangs_does_not_hold_up_the_run(
    tracked: Any, backend: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "CLOSE_SECONDS", 0.01)
    released = threading.Event()
    monkeypatch.setattr(backend, "log", lambda *_: released.wait())
    study = tracked("wandb")
    run(study, study.finish_training)
    released.set()
    assert study.output.getvalue().count("still busy") == 1


def test_a_missing_library_is_told_with_what_to_run(tracked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.execution.trackers.registry.find_spec", lambda name: None)
    study = tracked("mlflow", "wandb")
    run(study)
    assert "pip install 'evolgrid[mlflow]'" in study.output.getvalue()
    warnings = plan_study(study.loaded, study.store).warnings
    assert [warning for warning in warnings if "pip install 'evolgrid[wandb]'" in warning]


@pytest.mark.parametrize(
    ("tracker", "told"),
    [
        ("tensorbord", r"trackers\[0\].*Did you mean 'tensorboard'"),
        ({"tracker": "wandb", "uri": "http://host"}, "'uri' is only allowed"),
        ({"tracker": "mlflow", "uri": "http://me:pass@host"}, "credentials"),
        ({"tracker": "mlflow", "projekt": "x"}, r"trackers\[0\]\.projekt.*Did you mean 'project'"),
    ],
)
def test_a_mistake_is_told_with_its_place(tracker: Any, told: str, tmp_path: Any) -> None:
    with pytest.raises(InputError, match=told):
        load_values(CONTENT | {"trackers": [tracker]}, tmp_path)


def test_an_error_is_one_safe_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", "abcdefgh")
    assert safe_line(ValueError("a\nabcdefgh b")) == "ValueError: a *** b"


def test_trackers_are_optional_libraries() -> None:
    assert util.find_spec("tensorboard") and util.find_spec("wandb")
