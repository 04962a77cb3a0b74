"""Exports trained students as Hugging Face folders: merged weights, a card, and any LoRA adapter in `adapter/`."""

from __future__ import annotations

from pathlib import Path

from actors.model_folder.adapter import ADAPTER_FOLDER, name_base
from pipelines.evaluate.items.item import ACCURACY
from pipelines.evaluate.scores import scores
from pipelines.results.export.card import student_card
from pipelines.results.export.files import ExportedModel, seed_suffix, set_name
from pipelines.rows.arrow import from_table
from pipelines.rows.types import AnswerRow
from pipelines.store.store import CHECKPOINT_FOLDER, Store
from pipelines.study.file.load import LoadedStudy
from pipelines.study.graph.steps.grid import Cell, Grid
from pipelines.study.graph.steps.params.students import EvaluateParams, VerdictParams
from pipelines.study.inputs.models import resolve_model_path


def export_students(store: Store, loaded: LoadedStudy, grid: Grid, folder: Path) -> list[ExportedModel]:
    """Write every finished student to `folder`/students/NAME, in a format that transformers, peft and vLLM load."""
    done = store.finished_keys()
    found = [_export(store, loaded, cell, folder) for cell in grid.cells if cell.train and cell.train.key in done]
    for student in found:
        (student.path / "README.md").write_text(student_card(loaded.study, student), encoding="utf-8")
    return found


def _export(store: Store, loaded: LoadedStudy, cell: Cell, folder: Path) -> ExportedModel:
    assert cell.train and cell.pairs
    model, recipe = loaded.study.models[cell.student.model], loaded.study.recipes[cell.student.recipe]
    dataset = f"{set_name(cell.pairs)}-{cell.selection}"
    student = f"{cell.student.model}-{cell.student.recipe}{seed_suffix(cell.seed)}"
    path = folder / "students" / f"{student}-on-{dataset}"
    store.fetch(cell.train.kind, cell.train.key, CHECKPOINT_FOLDER, path)
    if recipe.tuning == "lora":  # in the store, an adapter does not name a base in a local folder
        name_base(path / ADAPTER_FOLDER, resolve_model_path(model, loaded.folder), model.revision)
    rows = store.manifest(cell.train.kind, cell.train.key).account.rows_out
    return ExportedModel(path, model, recipe, dataset, rows, _scores(store, cell))


def _scores(store: Store, cell: Cell) -> tuple[tuple[str, float], ...]:
    done, found = store.finished_keys(), list[tuple[str, float]]()
    for name, step in cell.evaluations:
        if step.key in done and isinstance(step.params, EvaluateParams | VerdictParams):
            rows = from_table(AnswerRow, store.rows(step.kind, step.key))
            numbers = scores(step.params.benchmark, rows)
            found += [(name if number == ACCURACY else f"{name} {number}", value) for number, value in numbers.items()]
    return tuple(found)
