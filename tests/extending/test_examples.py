"""The plug-ins of examples/plugins: their studies are valid, and they do what they say."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipelines.errors import InputError
from pipelines.evaluate.suite import answer_benchmark
from pipelines.operators.select.metrics import PairMeasurements, metric_value
from pipelines.planning.plan import make_plan
from pipelines.rows.arrow import from_table
from pipelines.rows.types import InstructionRow
from pipelines.store.store import Store
from pipelines.study.check import check
from pipelines.study.file.load import LoadedStudy, load
from pipelines.study.graph.steps.grid import Grid
from tests.pipelines.evaluate.conftest import Told
from tests.support.offline import run_offline

FOLDER = Path(__file__).parents[2] / "examples" / "plugins"


def loaded(name: str) -> LoadedStudy:
    found = load(FOLDER / f"{name}.yaml")
    check(found)
    return found


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.yaml")))
def test_its_study_can_be_planned(name: str, tmp_path: Path) -> None:
    found = loaded(name)
    assert make_plan(found.study, found.folder, Store(str(tmp_path))).pending


@pytest.mark.parametrize(
    ("answer", "value"), [("", 0.0), ("Here you are.", 0.0), ("Shut up, you stupid MORON!", 0.6), ("Idiot's", 0.0)]
)
def test_toxicity_is_the_share_of_rude_words(answer: str, value: float) -> None:
    loaded("toxicity")
    pair = SimpleNamespace(response=answer)
    assert metric_value("toxicity", PairMeasurements(pair, {}, 0)) == value  # type: ignore[arg-type]


def test_numerals_are_graded_exactly(tmp_path: Path) -> None:
    found = loaded("roman")

    def says(messages: tuple[tuple[str, str], ...]) -> str:
        number = messages[-1][1].split()[3]
        return {"1994": "mcmxciv.\n", "2024": " MMXXIV", "4": "IIII", "3999": "MMMCMXCIX"}.get(number, "I do not know")

    rows, _ = asyncio.run(answer_benchmark(Told(says), found.study.benchmarks[0], found.folder, 0, "key"))
    assert [row.correct for row in rows].count(True) == 3 and len(rows) == 16


def evolve(found: LoadedStudy, store: Store) -> tuple[Grid, list[InstructionRow]]:
    grid = run_offline(found.study, store, {"tiny-4m": Told(lambda messages: f"New: {len(messages[-1][1])} words.")})
    steps = [step for step in grid.steps.values() if step.kind == "tag-evolve"]
    rows = [row for step in steps for row in from_table(InstructionRow, store.rows(step.kind, step.key))]
    return grid, rows


def test_each_round_gets_tags_of_the_pool_which_enter_the_key(tmp_path: Path) -> None:
    found = loaded("tag_evol")
    grid, rows = evolve(found, Store(str(tmp_path)))
    pool = {"counting", "ordering", "upper case", "two steps", "a condition"}
    drawn = [row.method.split(" + ") for row in rows]
    assert {row.round for row in rows} == {1, 2} and all(len({*tags}) == 2 and {*tags} <= pool for tags in drawn)
    assert len({tuple(tags) for tags in drawn}) > 5

    evolution = found.study.evolution[0]
    fewer = evolution.model_copy(update={"tags": evolution.tags.model_copy(update={"per_round": 1})})
    other = found.study.model_copy(update={"evolution": [fewer]})
    again, changed = evolve(replace(found, study=other), Store(str(tmp_path)))
    assert all(" + " not in row.method for row in changed) and not again.steps.keys() & {
        step.key for step in grid.steps.values() if step.kind == "tag-evolve"
    }


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("per_round: 2", "per_rounds: 2", r"evolution\[0\].tags.per_rounds: unknown key 'per_rounds'. Did you mean"),
        ("per_round: 2", "per_round: 0", r"evolution\[0\].tags.per_round: must be more than 0"),
        ("rounds: 2}", "rounds: 2, tags: {pool: [a]}}", "'tags' is not allowed with the method 'evol-instruct'"),
    ],
)
def test_its_keys_are_checked_like_others(tmp_path: Path, old: str, new: str, told: str) -> None:
    text = (FOLDER / "tag_evol.yaml").read_text().replace("./tag_evol.py", str(FOLDER / "tag_evol.py"))
    assert old in text
    (tmp_path / "study.yaml").write_text(text.replace(old, new))
    with pytest.raises(InputError, match=told):
        load(tmp_path / "study.yaml")
