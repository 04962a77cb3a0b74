"""The papers' studies in miniature: rows of all of them go through every step with scripted models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from pipelines.evaluate.registry import asked_benchmark, reference_reader
from pipelines.execution.previewing.preview import preview
from pipelines.execution.runtime.progress import ProgressDisplay
from pipelines.reproduction import places
from pipelines.reproduction.catalog import PaperStudy, paper_studies
from pipelines.reproduction.small import study as small_study
from pipelines.store.store import Store
from pipelines.study.check import check
from pipelines.study.file.load import LoadedStudy, load_values
from pipelines.study.plugins.active import plugin_scope

ROWS = 3
STUDIES = pytest.mark.parametrize("study", paper_studies(), ids=lambda study: study.id)


@pytest.fixture(autouse=True)
def scope() -> Iterator[None]:
    with plugin_scope():
        yield


def scripted(study: PaperStudy, folder: Path, monkeypatch: pytest.MonkeyPatch) -> LoadedStudy:
    """The miniature of a study whose models are all scripted."""
    monkeypatch.setattr(places, "write_checkpoints", lambda checkpoints, folder: None)
    path, made = places.place_miniature(study, folder)
    models = {name: {"source": name, "engine": "scripted", "max_length": 4096} for name in made.content["models"]}
    content = {key: value for key, value in made.content.items() if key != "lengths"}  # they need a real tokenizer
    loaded = load_values({**content, "models": models}, path.parent)
    check(loaded)
    return loaded


@STUDIES
def test_rows_go_through_every_step_before_the_trainings(
    study: PaperStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = scripted(study, tmp_path, monkeypatch)
    with ProgressDisplay(Console(quiet=True)) as progress:
        found = preview(loaded, Store(str(tmp_path / "store")), ROWS, progress, None)
    kinds = Counter(node.step.kind for node in found.nodes())  # scripted replies are not always parsed
    expected = {"respond"} if loaded.study.responses.teachers else {"given"}
    expected |= {"score"} if loaded.study.scoring else set()
    expected |= {"reward"} if loaded.study.rewards else set()
    expected |= {"judge"} if loaded.study.judging else set()
    if any(one.autoif for one in loaded.study.evolution):
        expected = set()  # its functions run in sandboxes, which a preview does not start
    assert expected <= kinds.keys()


@STUDIES
def test_benchmarks_have_items_and_references(
    study: PaperStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = scripted(study, tmp_path, monkeypatch)
    for bench in loaded.study.benchmarks:
        if bench.file:
            items = asked_benchmark(bench).items(bench, loaded.folder / bench.file)
            assert len(items) >= small_study.ITEMS_OF_LARGE_GRIDS
            if bench.judge and isinstance(bench.judge.reference, str):
                answers = reference_reader(bench)(loaded.folder / bench.judge.reference, items)
                assert answers.keys() == {item.id for item in items}
