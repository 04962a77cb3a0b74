"""What users ask of a store with SQL: results over studies, accounts of steps, rows and why they were lost."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipelines.cli.app import app
from pipelines.cli.commands.results.store import QUERIES
from pipelines.results.sql import open_sql_tables
from pipelines.store.store import Store
from pipelines.store.studies.retry_log import Retry, save_retries
from pipelines.store.studies.step_index import save_step_index
from pipelines.study.graph.steps.grid import Grid

HEADER = "benchmark,student,recipe,evolver,round,teacher,value\n"


@pytest.fixture
def store(finished_store: tuple[Store, Grid]) -> Store:
    """Two studies: one with results, one whose students are still to be trained."""
    store, grid = finished_store
    for name, rows in {"first": "world,tiny,full,a,1,b,41.5\nworld,tiny,full,a,2,b,62.0\n", "second": ""}.items():
        save_step_index(store, name, grid.steps)
        store.write_bytes(f"{store.root}/studies/{name}/report/results.csv", (HEADER + rows).encode())
    return store


def test_results_of_all_studies_are_numbers_though_one_has_none_yet(store: Store) -> None:
    asked = "SELECT study, round, value FROM results WHERE value > 50.5"
    assert open_sql_tables(store).sql(asked).fetchall() == [("first", 2, 62.0)]


def test_a_store_without_a_report_has_empty_results_with_their_columns(tmp_path: Path) -> None:
    connection = open_sql_tables(Store(str(tmp_path)))
    assert connection.sql("SELECT study, student, teacher, value FROM results").fetchall() == []
    assert connection.sql("SELECT study, ifd, words FROM sets").fetchall() == []


def test_retries_of_all_studies_are_a_table(store: Store) -> None:
    save_retries(store, "first", [Retry(level="replica", of="small", spent=3, allowed="16")])
    save_retries(store, "second", [])
    asked = "SELECT study, level, spent FROM retries"
    assert open_sql_tables(store).sql(asked).fetchall() == [("first", "replica", 3)]


def test_a_step_tells_what_its_key_is_made_of(store: Store) -> None:
    asked = "SELECT DISTINCT payload->>'$.sampling.max_tokens', versions->>'$.ray' FROM steps WHERE kind = 'respond'"
    ((tokens, ray),) = open_sql_tables(store).sql(asked).fetchall()
    assert int(tokens) > 0 and ray


@pytest.mark.parametrize("command", QUERIES)
def test_the_examples_of_the_help_are_answered(store: Store, command: str) -> None:
    words = shlex.split(command.partition(" > ")[0])
    told = CliRunner().invoke(app, [*words[1:], "--store", store.root])
    assert told.exit_code == 0, told.exception
    assert told.stdout


def test_what_is_too_wide_for_the_terminal_is_printed_row_by_row(store: Store) -> None:
    told = CliRunner().invoke(app, ["query", "SELECT * FROM score LIMIT 2", "--store", store.root]).stdout
    assert "ppl_conditional" in told and "…" not in told
