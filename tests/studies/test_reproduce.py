"""The papers' studies in miniature: each plans, with the grid of its study, and its judge knows every prompt."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path

import pytest

import bundled
import prompts
from actors.engine import EngineSpec, GenerateRequest, RequestError, Sampling
from pipelines.errors import InputError
from pipelines.evaluate.judged.followbench import format_history
from pipelines.reproduction import places
from pipelines.reproduction.catalog import PaperStudy, paper_studies, paper_tables, studies_of, study_costs
from pipelines.reproduction.small.assignment import Checkpoint, assigned_checkpoints
from pipelines.reproduction.small.study import miniature
from pipelines.study.check import check
from pipelines.study.file.load import load
from pipelines.study.graph.build import build
from pipelines.study.inputs.published import read_published
from studies.closed_world import ExactJudge, quality
from tests.studies.test_papers import coordinates
from tests.support.command_line import evolgrid
from tests.support.stubs import write_stubs

INSTRUCTION, RIGHT, WRONG = "Count the words: fox cow.", "2", "fox"
FORMATS = "Count the words: fox cow. Use the word fox. End with the word cow."
STUDIES = pytest.mark.parametrize("study", paper_studies(), ids=lambda study: study.id)


@pytest.fixture(autouse=True)
def without_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans read no weights: every checkpoint is a bundled model with another identity."""
    nltk = pytest.importorskip("nltk")
    monkeypatch.setattr(nltk.data, "find", lambda name: name)
    monkeypatch.setenv("OPENAI_API_KEY", "none")

    def write(checkpoints: list[Checkpoint], folder: Path) -> None:
        for checkpoint in checkpoints:
            if not checkpoint.source.startswith("bundled:"):
                target = folder / checkpoint.source
                target.mkdir(parents=True, exist_ok=True)
                for file in bundled.path(checkpoint.end).iterdir():
                    (target / file.name).unlink(missing_ok=True)
                    if file.name == "config.json":
                        config = json.loads(file.read_text()) | {"name": checkpoint.source}
                        (target / file.name).write_text(json.dumps(config))
                    else:
                        (target / file.name).symlink_to(file)

    monkeypatch.setattr(places, "write_checkpoints", write)


@STUDIES
def test_a_miniature_has_the_grid_of_its_study(study: PaperStudy, tmp_path: Path) -> None:
    full = places.place_study(study, tmp_path / "studies" / "papers")
    write_stubs(load(full).study, full.parent)
    small, _ = places.place_miniature(study, tmp_path / "small")
    grids = []
    for path in (full, small):
        loaded = load(path)
        check(loaded)
        found = build(loaded.study, loaded.folder)
        kinds = Counter(step.kind for step in found.steps.values())
        cells = [
            (
                *(cell.pairs and coordinates(cell.pairs), cell.student.model, cell.student.recipe, cell.selection),
                [benchmark for benchmark, _ in cell.evaluations],
            )
            for cell in found.cells
        ]
        grids.append((kinds["train"], kinds["select"], cells))
    assert grids[0] == grids[1]


@STUDIES
def test_a_miniature_keeps_what_published_numbers_name(study: PaperStudy, tmp_path: Path) -> None:
    path, _ = places.place_miniature(study, tmp_path)
    loaded = load(path)
    numbers = read_published(loaded.folder / str(loaded.study.published))
    named = {number.coordinates["benchmark"] for number in numbers if "benchmark" in number.coordinates}
    assert numbers
    assert named <= {bench.name for bench in loaded.study.benchmarks}


@STUDIES
def test_all_models_of_a_part_differ(study: PaperStudy) -> None:
    found = assigned_checkpoints(load(study.path).study)
    assert len({checkpoint.source for checkpoint in found.values()}) >= len(found) - 1, found


def test_a_miniature_says_what_it_leaves_out() -> None:
    left_out = miniature(load(studies_of("evolvers_code")[0].path).study).left_out
    assert [reason.partition(":")[0] for reason in left_out] == ["diversity"]


def test_larger_models_have_larger_checkpoints() -> None:
    found = assigned_checkpoints(load(studies_of("teachers")[0].path).study)
    assert found["llama-3.1-405b"].source == "bundled:tiny-4m-chat"
    assert found["qwen2-1.5b"].end == "tiny-1m-chat"
    assert found["armorm"].end == "tiny-1m-reward"
    assert found["gpt2"].source == "bundled:tiny-1m-base"
    assert found["minitron-4b-base"].end == "tiny-4m-chat"


@pytest.mark.parametrize(
    ("name", "studies"),
    [
        ("2412.11231/table-5", ["selection"]),
        ("2412.11231 T5", ["selection"]),
        ("Table 12", ["temperatures"]),
        ("2412.11231 fig. 6", ["win_rates"]),
        ("2406.00770 section 5", ["optimization"]),
        ("2412.11231/table_1", ["evolvers_instructions", "evolvers_mathematics", "evolvers_code"]),
        ("evolvers_code", ["evolvers_code"]),
        ("2406.00770/code.yaml", ["code"]),
    ],
)
def test_tables_are_found_by_friendly_names(name: str, studies: list[str]) -> None:
    assert [study.name for study in studies_of(name)] == studies


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("table 1", "Name one of them: 2412.11231/table-1, 2406.00770/table-1."),
        ("tabel 5", "Did you mean '2412.11231/table-5'"),
        ("evolver_code", "Did you mean '2412.11231/evolvers_code'"),
        ("pigs", "'evolgrid reproduce' lists all tables."),
    ],
)
def test_other_names_are_errors_with_a_remedy(name: str, told: str) -> None:
    with pytest.raises(InputError) as raised:
        studies_of(name)
    assert str(raised.value.remedy).startswith(told)


def test_every_study_is_in_a_table_and_every_table_has_its_studies() -> None:
    named = {PaperStudy(table.paper, study) for table in paper_tables() for study in table.studies}
    assert named == {*paper_studies()}
    assert len({table.id for table in paper_tables()}) == len(paper_tables())


@STUDIES
def test_the_sources_of_published_numbers_are_tables_of_the_study(study: PaperStudy) -> None:
    loaded = load(study.path)
    known = {table.name for table in paper_tables() if table.paper == study.paper and study.name in table.studies}
    sources = {number.source for number in read_published(loaded.folder / str(loaded.study.published))}
    named = {source.removeprefix(f"{study.paper}, ").split(" (")[0].lower() for source in sources}
    assert named <= {*known, "table 10"}  # selection.csv has a row of Table 10


def test_costs_are_those_of_the_readme() -> None:
    assert {*study_costs()} <= {study.id for study in paper_studies()}
    assert study_costs()["2412.11231/temperatures"].trainings == 12


def test_a_study_is_copied_once(tmp_path: Path) -> None:
    (study,) = studies_of("autoif")
    path = places.place_study(study, tmp_path / "studies" / "papers")
    path.write_text("mine")
    assert places.place_study(study, tmp_path / "studies" / "papers").read_text() == "mine"
    assert (tmp_path / "studies" / "formats.txt").is_file()


def ask(name: str, **values: str) -> str:
    """The judge's reply, as the parser of the prompt reads it."""
    prompt = prompts.STANDARD_CATALOG.get(name)
    request = GenerateRequest("1", prompt.turns(**values), Sampling())
    said = asyncio.run(ExactJudge(EngineSpec("exact_judge", "judge", 8192)).generate(request))
    return str(prompts.parse(prompt.parser, said.text).value)


@pytest.mark.parametrize(("first", "second", "said"), [(RIGHT, WRONG, 0), (WRONG, RIGHT, 1), (RIGHT, RIGHT, 2)])
def test_the_judge_prefers_the_right_answer(first: str, second: str, said: int) -> None:
    shown = {"question": INSTRUCTION, "answer_a": first, "answer_b": second}
    assert ask("judge_arena_hard", **shown) == ("A>>B", "B>>A", "A=B")[said]
    compared = ask("judge_compare", user_query=INSTRUCTION, assistant1=first, assistant2=second)
    assert compared == ("win", "lose", "tie")[said]
    label = ask("judge_alpaca_eval", instruction=INSTRUCTION, output_1=first, output_2=second)
    assert label == ("m", "M", "m")[said]


def test_the_judge_rates() -> None:
    assert ask("judge_rate", question=INSTRUCTION, answer=RIGHT) == "10"
    assert ask("judge_rate", question=INSTRUCTION, answer=WRONG) == "1"
    turns = {"question_1": FORMATS, "answer_1": "3", "question_2": INSTRUCTION, "answer_2": RIGHT}
    assert ask("judge_rate_turns", **turns) == "10"
    assert ask("difficulty", instruction=INSTRUCTION) == "very easy"
    assert ask("difficulty_score", instruction=INSTRUCTION) == "10"
    assert ask("tags", instruction=INSTRUCTION) == "count\nword"
    assert ask("keyword", line="Add a rule to it.") == "add a rule to"


def test_the_judge_checks_formats() -> None:
    history = format_history([INSTRUCTION, f"{INSTRUCTION} Use the word fox.", FORMATS])
    shown = {"constraint": "content constraint", "history": history, "answer": "2 with fox"}
    assert ask("judge_followbench", **shown, level="2") == "YES,NO"


def test_the_judge_fails_on_other_prompts() -> None:
    with pytest.raises(RequestError, match="does not know this prompt"):
        ask("answer", instruction=INSTRUCTION)


def test_similar_answers_have_a_quality_between() -> None:
    assert 0 < quality("Reverse the words: fox cow hen.", "hen cow") < 1
    assert quality("What is love?", "2") == 0


def test_the_command_lists_all_tables() -> None:
    listed = evolgrid("reproduce").stdout
    assert all(f"{table.name:<11}{table.shows}" in listed for table in paper_tables())
    assert "temperatures  12 trainings, 6.3 GPU-hours" in listed


def test_the_command_plans_a_miniature(tmp_path: Path) -> None:
    done = evolgrid("reproduce", "2412.11231", "table 12", "--small", "--dry-run", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "llama-3.1-8b is tiny-1m-chat" in done.stdout
    assert "temperatures-small: 13 cells share 75 steps; 0 are done, 75 will run" in done.stdout
    assert evolgrid("plan", tmp_path / "evolgrid-small/2412.11231/temperatures.yaml", folder=tmp_path).returncode == 0


def test_the_command_copies_the_study_and_names_what_it_lacks(tmp_path: Path) -> None:
    done = evolgrid("reproduce", "2412.11231/table-12", "--dry-run", folder=tmp_path)
    assert done.returncode == 2
    assert "code_alpaca_20k.jsonl: no such file" in done.stderr
    assert (tmp_path / "studies/papers/2412.11231/temperatures.csv").is_file()
