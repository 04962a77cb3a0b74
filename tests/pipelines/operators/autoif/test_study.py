"""AutoIF in a study: formats are verified, paired with seeds, answered several times, and answers are checked."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from rich.console import Console

from actors.engine import EngineSpec
from actors.engines.scripted_engine import ScriptedEngine
from pipelines.cli.views.row import show_chain
from pipelines.errors import InputError
from pipelines.execution.runtime.commit import commit_rows
from pipelines.execution.steps.autoif import usable_queries
from pipelines.execution.steps.seeds import seed_rows
from pipelines.operators.autoif.function_runs import Runner
from pipelines.results.export.datasets import export_sets
from pipelines.results.lineage import Lineage
from pipelines.results.report.collect.data_sets import Sets
from pipelines.results.report.collect.outcomes import Outcomes
from pipelines.rows.arrow import from_table
from pipelines.rows.types import CheckedRow, FormatRow, PairedRow, ResponseRow, VerifiedRow
from pipelines.store.store import Store
from pipelines.study.graph.build import build
from pipelines.study.graph.steps.grid import Grid
from pipelines.study.graph.steps.params.instructions import PairParams
from pipelines.study.graph.steps.step import Step
from pipelines.study.spec.study import Study
from tests.support.offline import run_offline
from tests.support.studies import scripted_study

FORMATS = ["Write at least 5 words.", "Write at least 12 words."]
BLOCK = {"instructions": "formats.txt", "nli": "scorer", "runs": 2, "queries": 3, "responses": 4}
DRAWN = {"name": "drawn", "temperature": 0.7}


def autoif_study(folder: Path, **changes: Any) -> Study:
    (folder / "formats.txt").write_text("\n".join(FORMATS))
    block = {key: value for key, value in (BLOCK | changes).items() if value is not None}
    return scripted_study(
        evolution=[{"evolvers": ["small"], "rounds": 1}, {"method": "autoif", "evolvers": ["small"], "autoif": block}],
        responses={"teachers": ["large"], "decodings": [DRAWN]},
        scoring=None,
    )


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, runner: Runner) -> Iterator[tuple[Store, Grid]]:
    folder = tmp_path_factory.mktemp("autoif")
    options = (("labels", "entailment,neutral,contradiction"), ("logits", "at least 12=0,0,1;2,1,0"))
    nli = ScriptedEngine(EngineSpec("scripted", "scorer", options=options))
    store = Store(str(folder / "store"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield store, run_offline(autoif_study(folder), store, {"scorer": nli}, runner)


def step_of(ran: tuple[Store, Grid], kind: str) -> Step:
    found = [step for step in ran[1].steps.values() if step.kind == kind and "autoif" in step.label]
    assert len(found) == 1
    return found[0]


def rows_of(ran: tuple[Store, Grid], kind: str, row_type: type[Any], file: str = "rows") -> list[Any]:
    step = step_of(ran, kind)
    return from_table(row_type, ran[0].rows(step.kind, step.key, file))


def test_given_instructions_come_first_and_every_new_one_has_the_reply_that_it_came_from(
    ran: tuple[Store, Grid],
) -> None:
    rows: list[FormatRow] = rows_of(ran, "augment", FormatRow)
    assert [row.instruction for row in rows[:2]] == FORMATS and [row.outcome for row in rows[:2]] == ["given"] * 2
    assert len(rows) > 10 and all(row.instruction in row.raw for row in rows[2:])


def test_an_instruction_that_its_functions_contradict_is_dropped_with_all_that_was_said(
    ran: tuple[Store, Grid],
) -> None:
    rows: list[VerifiedRow] = rows_of(ran, "verify", VerifiedRow)
    assert FORMATS[0] in [row.instruction for row in rows] and FORMATS[1] not in [row.instruction for row in rows]
    assert all(row.functions and len(row.raw) == 8 and set(row.relations) == {"entailment"} for row in rows)
    store, step = ran[0], step_of(ran, "verify")
    lost = store.rows(step.kind, step.key, "rejected").to_pylist()
    assert {row["reason"] for row in lost} == {"contradiction"}
    assert all(len(json.loads(row["raw"])) == 9 for row in lost)


def test_every_pair_is_answered_several_times_and_every_answer_is_a_row_of_its_own(ran: tuple[Store, Grid]) -> None:
    pairs: list[PairedRow] = rows_of(ran, "pair", PairedRow)
    answers: list[ResponseRow] = rows_of(ran, "respond", ResponseRow)
    assert len(pairs) == 3 * len(rows_of(ran, "verify", VerifiedRow))
    assert Counter(row.parent_id for row in answers) == {row.id: 4 for row in pairs}
    assert len({row.id for row in answers}) == len(answers) and len({row.response for row in answers}) > len(pairs)


def test_only_answers_that_functions_and_judge_accept_are_kept_and_all_others_have_a_reason(
    ran: tuple[Store, Grid],
) -> None:
    kept: list[CheckedRow] = rows_of(ran, "check", CheckedRow)
    pairs = {row.id: row for row in rows_of(ran, "pair", PairedRow)}
    answered = {row.id: pairs[row.parent_id] for row in rows_of(ran, "respond", ResponseRow)}
    assert kept and all(row.pass_rate > 0.5 and row.judged >= 8 for row in kept)
    for row in kept:
        least = int(answered[row.parent_id].constraint.split()[3])
        assert len(row.response.split()) >= least
    account = ran[0].manifest("check", step_of(ran, "check").key).account
    assert set(account.reasons) == {"fails_check", "low_score"}
    assert account.rows_in == account.rows_out + account.rejected == 4 * len(pairs)


def test_the_report_says_how_replies_were_read_and_shows_the_sets(ran: tuple[Store, Grid]) -> None:
    store, grid = ran
    replies = {
        (one.role, one.outcome): one.rows for one in Outcomes(store, grid, store.finished_keys()).reply_outcomes()
    }
    formats, verified = len(rows_of(ran, "augment", FormatRow)), rows_of(ran, "verify", VerifiedRow)
    read = sum(rows for (role, _), rows in replies.items() if role == "verifier")
    assert read == 9 * formats and replies["verifier", "rejected:not_json"] > 0
    assert replies["judge of answers", "accepted"] >= len(rows_of(ran, "check", CheckedRow))
    outcomes = {
        one.outcome: one.rows
        for one in Outcomes(store, grid, store.finished_keys()).round_outcomes()
        if "autoif" in one.evolver
    }
    assert outcomes["evolved"] == len(verified) and outcomes["rejected:contradiction"] == formats - len(verified)
    sets = [one for one in Sets(store, grid, store.finished_keys(), 0).scores() if one.set.evolver == "autoif small"]
    assert [one.rows for one in sets] == [len(rows_of(ran, "check", CheckedRow))]
    examples = [one for one in Sets(store, grid, store.finished_keys(), 0).examples() if one.evolver == "autoif small"]
    assert examples and all([turn.round for turn in one.turns] == [0, 1] for one in examples)


def test_a_kept_answer_is_followed_to_the_instruction_its_functions_and_its_query(ran: tuple[Store, Grid]) -> None:
    row: CheckedRow = rows_of(ran, "check", CheckedRow)[0]
    links = Lineage(*ran).chain(row.id)
    assert [link.step.kind for link in links] == ["augment", "verify", "pair", "respond", "check"]
    output = io.StringIO()
    show_chain(Console(file=output, width=80), links, 0)
    told = output.getvalue()
    for expected in ("def evaluate(response)", "(entailment)", "its seed", row.seed_id, "of 10", "autoif_answer"):
        assert expected in told


def test_exports_are_the_kept_answers_and_pairs_of_an_accepted_and_a_refused_one(
    ran: tuple[Store, Grid], tmp_path: Path
) -> None:
    files = {file.path.name: file for file in export_sets(ran[0], autoif_study(tmp_path), ran[1], tmp_path, "alpaca")}
    name = "world-autoif-small-r1-large-drawn"
    kept: list[CheckedRow] = rows_of(ran, "check", CheckedRow)
    supervised = [json.loads(line) for line in files[f"{name}.alpaca.jsonl"].path.read_text().splitlines()]
    assert [row["output"] for row in supervised] == [row.response for row in kept]
    preferred = [json.loads(line) for line in files[f"{name}.dpo.jsonl"].path.read_text().splitlines()]
    assert preferred and files[f"{name}.dpo.jsonl"].rows == len(preferred)
    for row in preferred:
        assert len(row["chosen"].split()) > len(row["rejected"].split())
        assert row["chosen"] in [one.response for one in kept] and row["rejected"] not in [one.response for one in kept]


def test_a_study_that_draws_more_queries_than_it_has_is_told_before_anything_is_asked(tmp_path: Path) -> None:
    study, store = autoif_study(tmp_path, queries=50), Store(str(tmp_path / "store"))
    steps = build(study, tmp_path).steps.values()
    (seeding,) = (step for step in steps if step.kind == "seeds")
    rows = [*seed_rows(study.seeds[0], tmp_path, study.seed, seeding.key, Counter())]
    commit_rows(store, seeding, [*rows], [], len(rows), 0.0)
    (pairing,) = (step for step in steps if isinstance(step.params, PairParams))
    with pytest.raises(InputError, match="cannot draw 50 queries for each instruction: the seeds 'world' have"):
        usable_queries(store, pairing)


def test_answers_are_neither_checked_nor_judged_by_the_rules_of_the_port(tmp_path: Path) -> None:
    study = autoif_study(tmp_path, rules="port", nli=None, responses=None)
    grid = build(study, tmp_path)
    assert not [step for step in grid.steps.values() if step.kind == "check"]
    (answered,) = (pairs for pairs in grid.sets if pairs.method == "autoif")
    assert answered.responses.kind == "respond" and study.evolution[1].autoif is not None
    assert study.evolution[1].autoif.responses == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nli": None}, "set 'nli' to a classifier model, or use the rules 'port'"),
        ({"rules": "port"}, "the rules 'port' use neither 'nli' nor 'judge'"),
    ],
)
def test_rules_and_models_have_to_agree(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        autoif_study(tmp_path, **changes)


@pytest.mark.parametrize(
    ("evolution", "message"),
    [
        ({"method": "autoif"}, "needs the block 'autoif'"),
        ({"method": "autoif", "autoif": BLOCK, "rounds": 2}, "has only one round"),
        ({"method": "autoif", "autoif": BLOCK, "breadth": True}, "'breadth' is not allowed with the method 'autoif'"),
        ({"autoif": BLOCK}, "'autoif' is not allowed with the method 'evol-instruct'"),
    ],
)
def test_keys_of_other_methods_are_refused(evolution: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        scripted_study(evolution={"evolvers": ["small"], **evolution})
