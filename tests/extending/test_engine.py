"""The worked example of an engine: its record alone makes it known to study files, checks, plans and runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from actors.engines.registry import ENGINES, create
from pipelines.execution.runtime.model_pools import pool_spec
from pipelines.operators.respond.answer import answer_prompt
from pipelines.planning.memory import memory_needs
from pipelines.planning.model_size import known_active_parameters
from pipelines.planning.requests import replica_requests
from pipelines.store.store import Store
from pipelines.study.file.json_schema import schema
from pipelines.study.inputs.models import check_installed, check_model, engine_spec
from pipelines.study.spec.study import Study
from tests.support.examples import use_example
from tests.support.offline import run_offline
from tests.support.studies import scripted_study

SEEDS = [{"instruction": "Name a river."}, {"instruction": "Name a bird."}]


def study(**options: str) -> Study:
    """Seeds from a file, evolved by a scripted model and answered from the recorded replies."""
    teacher = {"source": "book", "engine": "recorded", "options": options, "cpus": 0.1}
    return scripted_study(
        seeds=[{"name": "two", "file": "seeds.jsonl"}],
        models={"small": {"source": "small", "engine": "scripted", "cpus": 0.1}, "book": teacher},
        evolution={"evolvers": ["small"], "rounds": 1},
        responses={"teachers": ["book"]},
        scoring=None,
    )


@pytest.fixture
def recorded(tmp_path: Path) -> None:
    use_example("recorded_engine.py", tmp_path)


def test_without_its_record_the_engine_is_unknown() -> None:
    with pytest.raises(ValidationError, match="transformers"):
        study(file="replies.json")


@pytest.mark.usefixtures("recorded")
def test_the_record_is_all_that_a_study_file_needs(tmp_path: Path) -> None:
    model = study(file="replies.json").models["book"]
    definitions: dict[str, Any] = schema()["$defs"]
    assert definitions["Model"]["properties"]["engine"]["enum"] == ["auto", *ENGINES]
    assert check_installed(model) is None and check_model(model, tmp_path) is None
    problem = check_model(study().models["book"], tmp_path)
    assert problem is not None and problem[:2] == (("engine",), "a recorded model needs the file with its replies")


@pytest.mark.usefixtures("recorded")
def test_the_record_is_all_that_a_plan_needs(tmp_path: Path) -> None:
    planned = study(file="replies.json")
    assert memory_needs(planned, tmp_path) == []
    assert known_active_parameters(planned.models["book"], tmp_path) == 0
    assert not replica_requests(planned)["book"].spread
    pool = pool_spec(planned.models["book"], "book", tmp_path)
    assert (pool.spec.model, pool.max_ongoing_requests) == ("book", 256)


@pytest.mark.usefixtures("recorded")
def test_its_replies_are_the_answers_of_a_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("seeds.jsonl").write_text("".join(json.dumps(row) + "\n" for row in SEEDS))
    Path("replies.json").write_text(json.dumps({answer_prompt("Name a river.", ""): "The Rhine."}))
    answered, store = study(file="replies.json"), Store("store")
    engine = create(engine_spec(answered.models["book"], tmp_path))
    grid = run_offline(answered, store, {"book": engine})
    answers = [step for step in grid.steps.values() if step.kind == "respond"]
    rows = [row for step in answers for row in store.rows(step.kind, step.key).to_pylist()]
    assert [(row["instruction"], row["response"]) for row in rows] == [("Name a river.", "The Rhine.")]
    reasons = [store.manifest(step.kind, step.key).account.reasons for step in answers]
    assert reasons == [{"no_reply": 1}, {"no_reply": 2}]  # of the other seed, and of both evolved instructions
