"""Exported sets are read back by the tools that they are for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from actors.engine import GenerateRequest, Generation
from pipelines.results.export import Format
from pipelines.results.export.datasets import export_sets
from pipelines.rows.arrow import from_table
from pipelines.rows.types import ResponseRow
from pipelines.store.store import Store
from pipelines.study.graph.steps.grid import Grid
from pipelines.study.spec.study import Study
from tests.support.offline import run_offline
from tests.support.studies import scripted_study

Ran = tuple[Store, Study, Grid]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    store = Store(str(tmp_path_factory.mktemp("store")))
    study = scripted_study(
        seeds=[{"name": "world", "world": {"count": 12}}],
        evolution={"evolvers": ["small"], "rounds": 1},
        responses={"teachers": ["large"]},
        scoring=None,
    )
    return store, study, run_offline(study, store)


def answers(ran: Ran) -> list[ResponseRow]:
    store, _, grid = ran
    step = grid.sets[0].responses
    return from_table(ResponseRow, store.rows(step.kind, step.key))


@pytest.mark.parametrize("form", ["alpaca", "sharegpt", "messages", "parquet"])
def test_the_hub_library_loads_every_format_by_the_names_in_the_card(ran: Ran, tmp_path: Path, form: Format) -> None:
    datasets = pytest.importorskip("datasets")
    files = export_sets(*ran, tmp_path / "data", form)
    rows = datasets.load_dataset(
        str(tmp_path / "data"), files[0].name, split="train", cache_dir=str(tmp_path / "cache")
    )
    assert files[0].rows == len(rows) == len(answers(ran))
    for row, answer in zip(rows, answers(ran), strict=True):
        turns = {
            "alpaca": lambda row: [row["instruction"], row["output"]],
            "sharegpt": lambda row: [turn["value"] for turn in row["conversations"]],
            "messages": lambda row: [turn["content"] for turn in row["messages"]],
            "parquet": lambda row: [turn["content"] for turn in row["messages"]],
        }[form](row)
        assert turns == [answer.instruction, answer.response]


def test_parquet_rows_lead_back_to_their_seeds(ran: Ran, tmp_path: Path) -> None:
    (file, *_) = export_sets(*ran, tmp_path, "parquet")
    assert pq.read_table(file.path)["seed_id"].to_pylist() == [row.seed_id for row in answers(ran)]


def test_llama_factory_is_told_of_every_file(ran: Ran, tmp_path: Path) -> None:
    files = export_sets(*ran, tmp_path, "messages")
    described = json.loads((tmp_path / "dataset_info.json").read_text())
    assert {one["file_name"] for one in described.values()} == {file.path.name for file in files}
    (one, *_) = described.values()
    columns, tags = one["columns"], one["tags"]
    row = json.loads(files[0].path.read_text().splitlines()[0])
    roles = [turn[tags["role_tag"]] for turn in row[columns["messages"]]]
    assert roles == [tags["user_tag"], tags["assistant_tag"]]
    assert all(turn[tags["content_tag"]] for turn in row["messages"])


def test_the_card_lists_every_set_and_every_model_that_wrote_rows(ran: Ran, tmp_path: Path) -> None:
    files = export_sets(*ran, tmp_path, "alpaca")
    _, header, text = (tmp_path / "README.md").read_text().split("---\n", 2)
    assert [one["data_files"] for one in yaml.safe_load(header)["configs"]] == [file.path.name for file in files]
    writers = {name for name, model in ran[1].models.items() if f"| {model.source} |" in text}
    assert writers == {"small", "large"}, "not the scorer"
    for file in files:
        assert f"| {file.path.name} | {file.rows} |" in text


def test_nothing_is_written_where_nothing_is_finished(ran: Ran, tmp_path: Path) -> None:
    _, study, grid = ran
    assert export_sets(Store(str(tmp_path / "empty")), study, grid, tmp_path / "data", "alpaca") == []
    assert list((tmp_path / "data").iterdir()) == []


class Thinker:
    """A model that thinks before every answer."""

    async def generate(self, request: GenerateRequest) -> Generation:
        return Generation(request.id, "<think>\nOne more than 41.\n</think>\n\n42", "stop", 3, 9)


@pytest.mark.parametrize(("thinking", "is_exported"), [("cut", False), ("keep", True), ("train", True)])
@pytest.mark.parametrize("form", ["alpaca", "sharegpt", "messages", "parquet"])
def test_thoughts_are_exported_beside_the_answer_if_the_study_keeps_them(
    tmp_path: Path, form: Format, thinking: str, is_exported: bool
) -> None:
    store = Store(str(tmp_path / "store"))
    study = scripted_study(
        seeds=[{"name": "world", "world": {"count": 2}}],
        evolution={"evolvers": ["small"], "rounds": 1},
        responses={"teachers": ["large"], "thinking": thinking},
        scoring=None,
    )
    ran = store, study, run_offline(study, store, {"large": Thinker()})  # type: ignore[dict-item]
    assert [(row.response, row.thoughts) for row in answers(ran)] == [("42", "One more than 41.")] * 2
    (file, *_) = export_sets(*ran, tmp_path, form)
    rows = pq.read_table(file.path).to_pylist() if form == "parquet" else _lines(file.path)
    assert all(("thoughts" in row) == is_exported for row in rows)
    assert not any("One more" in json.dumps(row | {"thoughts": ""}) for row in rows)


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
