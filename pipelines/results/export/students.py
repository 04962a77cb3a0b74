"""Exports trained students as Hugging Face folders: merged weights, a card, and any LoRA adapter in `adapter/`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from actors.model_folder.adapter import ADAPTER_FOLDER, name_base
from pipelines.evaluate.scores import scores
from pipelines.results.export.card import student_card
from pipelines.results.export.files import Exported, ExportedModel, Score, seed_suffix, set_name
from pipelines.results.export.origins import model_origin, seed_origins, writers
from pipelines.rows.arrow import from_table
from pipelines.rows.types import AnswerRow
from pipelines.store.store import CHECKPOINT_FOLDER, Store
from pipelines.study.file.load import LoadedStudy
from pipelines.study.graph.steps.grid import Cell, Grid
from pipelines.study.graph.steps.params.students import EvaluateParams, VerdictParams
from pipelines.study.inputs.models import is_on_hub, resolve_model_path


def export_students(store: Store, loaded: LoadedStudy, grid: Grid, folder: Path) -> list[Path]:
    """Write every finished student to `folder`/students/NAME, in a format that transformers, peft and vLLM load.

    Return the students' folders.
    """
    written: list[Path] = []
    for cell in finished_students(store, grid):
        student = describe_student(store, loaded, cell)
        path = folder / "students" / student.name
        assert cell.train
        store.fetch(cell.train.kind, cell.train.key, CHECKPOINT_FOLDER, path)
        if student.recipe.tuning == "lora":  # in the store, an adapter does not name a base in a local folder
            base = resolve_model_path(student.model, loaded.folder)
            name_base(path / ADAPTER_FOLDER, base, student.model.revision)
        (path / "README.md").write_text(student_card(loaded.study, student), encoding="utf-8")
        written.append(path)
    return written


def finished_students(store: Store, grid: Grid) -> Iterator[Cell]:
    """Yield the cells of a grid whose students are trained."""
    done = store.finished_keys()
    yield from (cell for cell in grid.cells if cell.train and cell.train.key in done)


def describe_student(store: Store, loaded: LoadedStudy, cell: Cell, fetch: bool = False) -> ExportedModel:
    """Return what a card says of a trained student.

    With `fetch`, the cards of models on the hub are read from there; without it, only from the local cache.
    """
    assert cell.train and cell.pairs
    study = loaded.study
    model, recipe = study.models[cell.student.model], study.recipes[cell.student.recipe]
    dataset = f"{set_name(cell.pairs)}-{cell.selection}"
    student = f"{cell.student.model}-{cell.student.recipe}{seed_suffix(cell.seed)}"
    rows = store.manifest(cell.train.kind, cell.train.key).account.rows_out
    data = [Exported(Path(dataset), rows, (), cell.pairs, cell.selection)]
    return ExportedModel(
        f"{student}-on-{dataset}",
        model,
        recipe,
        dataset,
        rows,
        _scores(store, cell),
        model_origin(cell.student.model, model, loaded.folder, fetch),
        model.source if is_on_hub(model, loaded.folder) else "",
        (*seed_origins(store, study, data), *writers(study, data, loaded.folder, fetch)),
    )


def _scores(store: Store, cell: Cell) -> tuple[Score, ...]:
    done, found = store.finished_keys(), list[Score]()
    for name, step in cell.evaluations:
        if step.key in done and isinstance(step.params, EvaluateParams | VerdictParams):
            rows = from_table(AnswerRow, store.rows(step.kind, step.key))
            numbers = scores(step.params.benchmark, rows)
            found += [Score(name, number, value) for number, value in numbers.items()]
    return tuple(found)
