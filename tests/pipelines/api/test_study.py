"""The package `evolgrid` as its users call it, on a finished study and on new ones; nothing here needs Ray."""

from __future__ import annotations

import contextlib
import io
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import evolgrid
from pipelines.study.plugins.active import active_plugins
from tests.support.studies import scripted_study

ROOT = Path(__file__).parents[3]
SMALL: dict[str, Any] = {
    "study": "small",
    "seeds": [{"name": "tasks", "world": {"count": 8}}],
    "models": {"tiny": {"source": "any", "engine": "scripted"}},
    "responses": {"teachers": ["tiny"]},
}


@pytest.fixture
def finished(finished_store: Any) -> evolgrid.Study:
    store, _ = finished_store
    return evolgrid.load(scripted_study(responses={"teachers": ["small"]}), store=store.url)


def small(**changes: Any) -> dict[str, Any]:
    return SMALL | changes


def test_a_plan_prints_its_steps_and_knows_its_numbers(tmp_path: Path) -> None:
    study = evolgrid.load(ROOT / "studies/quickstart.yaml", store=tmp_path / "store")
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        plan = study.plan(cpus=2, gpus=0)
        text, html = str(plan), plan._repr_html_()
    assert out.getvalue() == ""
    assert (plan.done, plan.pending) == (0, len(plan.steps)) and plan.seconds
    assert plan.cost.tokens_out > 0 and plan.steps[0].kind == "seeds"
    assert "evolve world tiny-4m r3" in text and "Wall time" in text and repr(plan) == text
    assert "evolve world tiny-4m r3" in html and html.startswith("<pre")
    assert not (tmp_path / "store").exists()


def test_a_plan_warns_of_what_may_not_be_meant(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("Rewrite {instruction}")
    changed = small(budget={"tokens": 1}, evolution={"evolvers": ["tiny"]})
    warnings = evolgrid.load(changed, store=tmp_path, folder=tmp_path).plan().warnings
    assert any("Over the budget" in warning for warning in warnings)
    assert all(warning in " ".join(str(evolgrid.load(changed, store=tmp_path).plan()).split()) for warning in warnings)


def test_rows_are_tables_with_their_steps(finished: evolgrid.Study) -> None:
    answers = finished.rows("respond")
    assert isinstance(answers, pa.Table)
    assert answers.column_names[:2] == ["step", "label"] and answers.num_rows > 0
    assert finished.rows("respond", columns=["id", "response"]).column_names == ["step", "label", "id", "response"]
    assert len(finished.rows("respond", form="pandas")) == answers.num_rows
    rejected = finished.rows("rejected")
    assert rejected.column_names[:3] == ["kind", "step", "label"]
    assert finished.rows("evaluate").num_rows == 0 and "response" in finished.rows("evaluate").column_names


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (lambda study: study.rows("responds"), "Did you mean 'respond'"),
        (lambda study: study.rows("respond", columns=["reponse"]), "Did you mean 'response'"),
        (lambda study: study.rows("respond", form="polars"), "Use 'arrow' or 'pandas'"),
        (lambda study: study.dataset("worlds"), "no finished data set"),
        (lambda study: study.dataset(), "Name one of: world-"),
        (lambda study: study.dataset(form="message"), "Did you mean 'messages'"),
    ],
)
def test_a_wrong_name_is_told_with_the_right_one(finished: evolgrid.Study, ask: Any, told: str) -> None:
    with pytest.raises(evolgrid.InputError, match=told):
        ask(finished)


def test_results_and_sets_have_the_columns_of_the_report(finished: evolgrid.Study) -> None:
    results = finished.results()
    assert results.num_rows == 0 and results.schema.field("value").type == pa.float64()
    assert results.schema.field("seed").type == pa.int64() and results.schema.field("benchmark").type == pa.string()
    sets = finished.sets("pandas")
    assert len(sets) == 5 and sets["ifd"].notna().any() and sets["round"].dtype == "int64"
    assert (Path(finished.report()).parent / "sets.csv").read_text().splitlines()[0] == ",".join(sets.columns)


def test_a_data_set_is_one_of_the_library_datasets(finished: evolgrid.Study) -> None:
    name = finished.dataset_names()[0]
    data = finished.dataset(name)
    assert data.num_rows == finished.sets()["rows"][0].as_py()
    assert [turn["role"] for turn in data[0]["messages"]] == ["user", "assistant"]
    assert "output" in finished.dataset(name, form="alpaca").column_names


def test_a_store_is_queried_with_sql(finished: evolgrid.Study) -> None:
    store = evolgrid.open_store(finished.store.url)
    assert store.query("select count(*) n from respond")["n"][0].as_py() == finished.rows("respond").num_rows
    assert list(store.query("select 1 as a", "pandas")["a"]) == [1]
    with pytest.raises(evolgrid.InputError, match=r"Tables: .*respond"):
        store.query("select * from nowhere")
    with pytest.raises(evolgrid.InputError, match="1/x"):
        store.query("select cast('1/x' as int) as a")


def test_a_store_lists_its_studies(finished: evolgrid.Study, tmp_path: Path) -> None:
    assert evolgrid.open_store(tmp_path / "empty").studies() == ()
    assert finished.store.studies() == ()  # it was finished without the runner, which writes the index
    finished.report()


def test_a_study_written_in_python_is_the_one_of_the_file(tmp_path: Path) -> None:
    spec = evolgrid.StudySpec(
        study="small",
        seeds=[evolgrid.Seeds(name="tasks", world=evolgrid.World(count=8))],
        models={"tiny": evolgrid.Model(source="any", engine="scripted")},
        responses=evolgrid.Responses(teachers=["tiny"]),
    )
    study = evolgrid.load(spec, store=tmp_path / "store")
    path = study.save(tmp_path / "small.yaml")
    assert evolgrid.load(path).spec == study.spec == evolgrid.load(SMALL).spec == evolgrid.load(study.to_dict()).spec
    with pytest.raises(evolgrid.InputError, match=r"exists already.*overwrite=True"):
        study.save(path)
    assert study.save(path, overwrite=True) == path


def test_the_plain_values_of_a_study_can_be_changed(tmp_path: Path) -> None:
    content = evolgrid.load(SMALL).to_dict()
    content["seeds"][0]["world"]["count"] = 9
    assert evolgrid.load(content).spec.seeds[0].world == evolgrid.World(count=9)


def test_relative_paths_are_relative_to_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/seeds.jsonl").write_text('{"instruction": "Add 1 and 2."}\n')
    content = small(seeds=[{"name": "own", "file": Path("data/seeds.jsonl")}])
    with pytest.raises(evolgrid.InputError, match=r"seeds\[0\].*no such file"):
        evolgrid.load(content)
    study = evolgrid.load(content, folder=tmp_path, store="results")
    store = study.store.url
    monkeypatch.chdir(tmp_path / "data")
    assert study.plan().steps and study.store.url == store  # neither moves with the current folder
    with pytest.raises(evolgrid.InputError, match=r"names 'data/seeds\.jsonl'.*Save it in that folder"):
        study.save(tmp_path / "data/study.yaml")
    assert evolgrid.load(study.save(tmp_path / "study.yaml")).plan().steps == study.plan().steps


def test_a_file_that_has_changed_is_told(tmp_path: Path) -> None:
    path = evolgrid.load(SMALL).save(tmp_path / "study.yaml")
    study = evolgrid.load(path)
    path.write_text(path.read_text().replace("8", "9"))
    with pytest.warns(UserWarning, match=r"study\.yaml has changed since it was loaded") as told:
        steps = study.plan().steps
    assert told[0].filename == __file__
    assert steps == evolgrid.load(SMALL).plan().steps != evolgrid.load(path).plan().steps


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"models": {"tiny": {"sorce": "any"}}}, r"^models\.tiny\.sorce: unknown key 'sorce'\. Did you mean 'source'"),
        ({"responses": {"teachers": ["tini"]}}, r"^responses\.teachers\[0\]: no model is named 'tini'"),
        ({"seed": 1.5}, "^seed: must be a whole number"),
        ({"seed": {1}}, "^seed: a value of the type 'set' cannot be in a study"),
        ({"models": {1: {}}}, "^models: the key 1 is not text"),
        ({"models": {"tiny": {"source": "any", "options": {"x": float("nan")}}}}, r"^models\.tiny\.options\.x: nan is"),
        ({"responses": {"teachers": ["tiny", "tiny"]}}, r"the first time in responses\.teachers\[0\]"),
        ({"evolgrid": 2}, "^evolgrid: the file is of version 2"),
        ({"plugins": ["./none.py"]}, r"^plugins\[0\]: "),
    ],
)
def test_a_mistake_in_a_dict_is_told_with_its_place(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(evolgrid.InputError, match=told):
        evolgrid.load(small(**changes))


def test_a_mistake_in_a_file_is_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(evolgrid.EvolgridError, match=r"none\.yaml: no such file"):
        evolgrid.load(tmp_path / "none.yaml")
    (tmp_path / "study.yaml").write_text("study: a\nsedes: []\n")
    with pytest.raises(evolgrid.InputErrors, match=r"study\.yaml:2: sedes"):
        evolgrid.load(tmp_path / "study.yaml")


def test_each_study_works_with_its_own_plugins(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples/plugins", tmp_path / "plugins")
    with_plugin = evolgrid.load(tmp_path / "plugins/roman.yaml", store=tmp_path)
    steps = with_plugin.plan().steps
    evolgrid.load(SMALL).plan()
    assert not active_plugins()
    assert with_plugin.plan().steps == steps and active_plugins()


def test_an_error_that_is_no_mistake_of_the_user_has_its_cause(
    finished: evolgrid.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.api.tables.build", lambda *_: 1 / 0)
    with pytest.raises(evolgrid.RunError, match=r"Unexpected error: ZeroDivisionError.*details: ") as told:
        finished.rows("respond")
    assert isinstance(told.value.__cause__, ZeroDivisionError)


def test_the_default_store_is_that_of_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EVOLGRID_STORE", raising=False)
    assert evolgrid.open_store().url == f"file://{tmp_path}/evolgrid-store"
    monkeypatch.setenv("EVOLGRID_STORE", "elsewhere")
    assert evolgrid.load(SMALL).store.url == f"file://{tmp_path}/elsewhere"
    assert list(tmp_path.iterdir()) == []


def test_all_names_are_there_and_have_docstrings() -> None:
    assert all(getattr(evolgrid, name) for name in evolgrid.__all__) and set(evolgrid.__all__) <= set(dir(evolgrid))
    with pytest.raises(AttributeError):
        evolgrid.lod  # noqa: B018  # pyright: ignore
