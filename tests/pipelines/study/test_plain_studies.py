"""Studies of one part alone: teachers, selections, given answers, students. Each is planned; the quick ones run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipelines.execution.steps.selection import run_selection
from pipelines.results.export.datasets import export_sets
from pipelines.store.store import Store
from pipelines.study.file.load import load
from tests.support.command_line import evolgrid
from tests.support.offline import run_offline

SEEDS = "seeds: [{name: world, world: {count: 8}}]\n"
MODELS = """\
models:
  small: {source: small, engine: scripted, cpus: 0.1}
  large: {source: large, engine: scripted, cpus: 0.1}
"""
TEACHERS = f"study: teachers\n{SEEDS}{MODELS}responses: {{teachers: [small, large]}}\n"
RESPONSES = "responses: {given: [{name: own, column: output}]}\nscoring: {scorer: small}\n"
GIVEN = f"study: given\n{SEEDS}{MODELS}{RESPONSES}"
SELECTIONS = f"{GIVEN}selection: [{{name: ifd, by: ifd, keep: 0.5}}, {{name: half, keep: 0.5}}]\n"
STUDENTS = f"""\
study: students
{MODELS}
recipes: {{quick: {{}}}}
students: [{{model: small, recipe: quick}}, {{model: large, recipe: quick}}]
benchmarks: [{{name: world, world: {{count: 5}}}}]
"""
KINDS = {
    "teachers": (TEACHERS, {"seeds": 1, "respond": 2}),
    "given": (GIVEN, {"seeds": 1, "given": 1, "score": 1}),
    "selections": (SELECTIONS, {"seeds": 1, "given": 1, "score": 1, "select": 2}),
    "students": (STUDENTS, {"evaluate": 2}),
}


def write(folder: Path, text: str) -> Path:
    path = folder / "study.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", KINDS)
def test_a_study_of_one_part_alone_plans_to_its_steps(name: str, tmp_path: Path) -> None:
    text, expected = KINDS[name]
    told = evolgrid("plan", str(write(tmp_path, text)), "--store", str(tmp_path / "store"))
    assert told.returncode == 0, told.stderr
    assert f"share {sum(expected.values())} steps" in told.stdout
    counts = dict(re.findall(r"^│ (\w+) +│ +0 │ +(\d+) │", told.stdout, re.M))
    assert {kind: int(count) for kind, count in counts.items()} == expected


def test_what_is_left_out_is_planned_and_told(tmp_path: Path) -> None:
    path = write(tmp_path, TEACHERS + "except: [{teacher: large}]\n")
    told = evolgrid("plan", str(path), "--store", str(tmp_path / "store"))
    assert re.search(r"taken +│ +1 │ +0 │ +0 │", told.stdout) and re.search(r"left out +│ +1 │", told.stdout)
    assert re.search(r"except {teacher: large} +│ +1 │", told.stdout)


def test_selections_run_and_are_exported_without_students(tmp_path: Path) -> None:
    loaded, store = load(write(tmp_path, SELECTIONS)), Store(str(tmp_path / "store"))
    grid = run_offline(loaded.study, store)
    assert [(one.selection, one.seed, one.base) for one in grid.selected] == [("ifd", None, ""), ("half", None, "")]
    for one in grid.selected:
        assert run_selection(store, one.step).account.rows_out == 4
    exported = export_sets(store, loaded.study, grid, tmp_path / "out", "alpaca")
    assert {file.path.name: file.rows for file in exported} == {
        "world-seeds-own-given.alpaca.jsonl": 8,
        "world-seeds-own-given-ifd.alpaca.jsonl": 4,
        "world-seeds-own-given-half.alpaca.jsonl": 4,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"study: x\n{SEEDS}{MODELS}", "missing answers: give 'teachers', 'given' answers or both"),
        (f"study: x\n{MODELS}responses: {{teachers: [small]}}\n", "missing key 'seeds': 'responses' needs"),
        (f"study: x\n{MODELS}", "nothing to do: give 'seeds'"),
    ],
)
def test_a_study_without_anything_to_do_is_an_error(text: str, message: str, tmp_path: Path) -> None:
    told = evolgrid("plan", str(write(tmp_path, text)))
    assert told.returncode == 2 and message in " ".join(told.stderr.split())
