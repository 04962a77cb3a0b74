"""Plans count the rows of seed files and measure their texts."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pipelines.planning.seed_sets as seed_sets
from bundled.world import datasets as world
from pipelines.errors import InputError
from pipelines.planning.plan import Plan, make_plan
from pipelines.rows.readers import SeedSource
from pipelines.store.store import Store
from tests.support.offline import run_offline
from tests.support.studies import scripted_study

ROWS = 2_345
INSTRUCTION, ANSWER = "Name a colour of the sky, please", "Blue, or grey"


def write(path: Path, rows: int = ROWS) -> Path:
    records = [{"instruction": INSTRUCTION, "output": ANSWER} for _ in range(rows)]
    lines = "".join(json.dumps(record) + "\n" for record in records)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(records), path)
    elif path.suffix == ".gz":
        path.write_bytes(gzip.compress(lines.encode()))
    elif path.suffix == ".json":
        path.write_text(json.dumps(records))
    elif path.suffix == ".csv":
        path.write_text("instruction,output\n" + f'"{INSTRUCTION}","{ANSWER}"\n' * rows)
    else:
        path.write_text(lines + "\n \n")  # blank lines are no rows
    return path


def plan(path: Path, store: Path, **seeds: object) -> Plan:
    study = scripted_study(seeds=[{"name": "own", "file": str(path)} | seeds])
    return make_plan(study, path.parent, Store(str(store)))


def rows_of(plan: Plan, kind: str) -> set[float]:
    return {plan.workloads[key].rows_out for key, step in plan.grid.steps.items() if step.kind == kind}


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.parquet", "a.jsonl.gz"])
def test_a_plan_counts_the_rows_of_a_file(tmp_path: Path, name: str) -> None:
    found = plan(write(tmp_path / name), tmp_path / "store")
    assert rows_of(found, "seeds") == rows_of(found, "evolve") == rows_of(found, "respond") == {ROWS}


def test_texts_of_the_closed_world_are_measured(tmp_path: Path) -> None:
    study = scripted_study(seeds=[{"name": "world", "world": {"count": 20}}])
    found = make_plan(study, tmp_path, Store(str(tmp_path)))
    (evolve, *_) = (found.workloads[key] for key, step in found.grid.steps.items() if step.kind == "evolve")
    tokens = sum(len(task.instruction.encode()) for task in world.seeds(20, 0)) / 20 / seed_sets.BYTES_PER_TOKEN
    assert evolve.tokens_out == pytest.approx(20 * tokens)


def test_no_more_rows_than_the_limit(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl")
    assert rows_of(plan(path, tmp_path / "store", limit=7), "seeds") == {7}
    assert rows_of(plan(path, tmp_path / "store"), "seeds") == {ROWS}
    assert rows_of(plan(path, tmp_path / "store", limit=ROWS + 1), "seeds") == {ROWS}


def test_tokens_and_times_follow_the_texts_of_the_file(tmp_path: Path) -> None:
    found = plan(write(tmp_path / "a.jsonl"), tmp_path / "store")
    (answer, *_) = (found.workloads[key] for key, step in found.grid.steps.items() if step.kind == "respond")
    assert answer.tokens_in == ROWS * len(INSTRUCTION) / 4
    assert answer.tokens_out == ROWS * len(ANSWER) / 4


def test_a_count_is_remembered_by_the_hash_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, store = write(tmp_path / "a.jsonl"), tmp_path / "store"
    plan(path, store)
    counted = list[SeedSource]()
    real = seed_sets.count_rows
    monkeypatch.setattr(seed_sets, "count_rows", lambda source, limit: counted.append(source) or real(source, limit))
    assert rows_of(plan(path, store), "seeds") == {ROWS}
    assert not counted
    assert rows_of(plan(write(path, ROWS + 1), store), "seeds") == {ROWS + 1}
    assert [source.files for source in counted] == [(path,)]


def test_the_rows_of_finished_seeds_are_those_in_the_store(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", 3)
    with path.open("a") as file:
        file.write("no row\n")
    study = scripted_study(seeds=[{"name": "own", "file": str(path), "on_bad_row": "quarantine"}])
    store = Store(str(tmp_path / "store"))
    assert rows_of(make_plan(study, tmp_path, store), "seeds") == {4}
    run_offline(study, store)
    assert rows_of(make_plan(study, tmp_path, store), "seeds") == {3}


def test_a_file_that_cannot_be_read_to_its_end_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json")
    path.write_text(path.read_text()[:-9])
    with pytest.raises(InputError, match="the file ends inside the array"):
        plan(path, tmp_path / "store")


def notes(plan: Plan, folder: Path, store: Path) -> list[str]:
    return seed_sets.seed_notes(plan.grid.steps, plan.done, folder, Store(str(store)))


def test_a_plan_says_what_of_the_rows_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"instruction": "x", "system": "S."}\n' * 3)
    used, dropped = plan(path, tmp_path / "store"), plan(path, tmp_path / "store", system="drop")
    assert notes(used, tmp_path, tmp_path / "store") == []
    assert notes(dropped, tmp_path, tmp_path / "store") == ["seeds own: 3 rows had a system text, which is not used"]
    path.write_text('{"instruction": "x", "hint": "S."}\n' * 1_001)
    (note,) = notes(plan(path, tmp_path / "store"), tmp_path, tmp_path / "store")
    assert note.startswith("seeds own: of the first 1,000 rows, 1,000 rows had a column 'hint'")


def test_a_plan_keeps_the_notes_of_a_finished_step(tmp_path: Path) -> None:
    path, store = tmp_path / "a.jsonl", Store(str(tmp_path / "store"))
    path.write_text("".join(f'{{"instruction": "{word}", "system": "S."}}\n' for word in "xyz"))
    study = scripted_study(seeds=[{"name": "own", "file": str(path), "system": "drop"}])
    run_offline(study, store)
    assert notes(make_plan(study, tmp_path, store), tmp_path, tmp_path / "store") == [
        "seeds own: 3 rows had a system text, which is not used"
    ]


def test_a_plan_refuses_rows_that_a_run_would_refuse(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "x"}\n' * 3)
    with pytest.raises(InputError, match="there is no instruction"):
        notes(plan(path, tmp_path / "store"), tmp_path, tmp_path / "store")
