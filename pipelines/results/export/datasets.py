"""Exports every finished data set of a study, with a card and a description for LLaMA-Factory."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.results.export import Format
from pipelines.results.export.card import DataSources, dataset_card
from pipelines.results.export.files import Exported, seed_suffix, set_name
from pipelines.results.export.formats import (
    LLAMA_FACTORY_PREFERENCES,
    RECORDS,
    Record,
    llama_factory,
    preference,
    same_columns,
    with_thoughts,
)
from pipelines.results.export.origins import seed_origins, writers
from pipelines.results.export.preferences import preferences
from pipelines.rows.arrow import from_table
from pipelines.rows.types import PairRow, ResponseRow
from pipelines.store.store import Store
from pipelines.study.graph.steps.grid import Grid, InstructionDataset
from pipelines.study.graph.steps.params.answers import CheckParams
from pipelines.study.graph.steps.params.students import SelectParams
from pipelines.study.graph.steps.step import Step
from pipelines.study.spec.pairs.selection import Selection
from pipelines.study.spec.study import Study


def export_sets(
    store: Store, study: Study, grid: Grid, folder: Path, form: Format, *, home: Path = Path(), hub: str = ""
) -> list[Exported]:
    """Write every finished set to `folder` as NAME.FORMAT.jsonl (or .parquet); AutoIF sets also as NAME.dpo.jsonl.

    A selection that drops rows is exported as a separate set. The folder also gets README.md, the card with which
    `datasets` loads it, and dataset_info.json for LLaMA-Factory, without preferences whose prompts are conversations:
    LLaMA-Factory has no such format. `home` is the study file's folder. `hub` is the name under which the files will be
    on the hub; then the cards of models are fetched from there. Return the exported sets.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = [*_export_supervised(store, study, grid, folder, form), *_export_preferences(store, study, grid, folder)]
    if written:
        sources = data_sources(store, study, written, home, fetch=bool(hub))
        (folder / "README.md").write_text(dataset_card(study, written, sources, hub), encoding="utf-8")
        described = (file for file in written if not file.conversational)
        listed = {file.path.name.replace(".", "_"): _dataset_info(file, form) for file in described}
        (folder / "dataset_info.json").write_text(json.dumps(listed, indent=2) + "\n", encoding="utf-8")
    return written


def data_sources(store: Store, study: Study, files: Sequence[Exported], home: Path, fetch: bool) -> DataSources:
    """Return where the rows of exported files are from. `home` is the study file's folder."""
    return DataSources((*seed_origins(store, study, files),), (*writers(study, files, home, fetch),))


@dataclass(frozen=True, slots=True)
class SupervisedSet:
    """A finished set of instruction-response pairs: a whole data set, or what a selection keeps of one."""

    name: str
    step: Step
    pairs: InstructionDataset
    selection: str = ""

    def records(self, store: Store, study: Study, form: Format) -> Iterator[Record]:
        """Yield its rows in a format, with the teachers' thoughts if the study keeps them."""
        record = RECORDS[form] if study.responses.thinking == "cut" else with_thoughts(RECORDS[form])
        row_type = PairRow if self.selection else ResponseRow
        yield from map(record, from_table(row_type, store.rows(self.step.kind, self.step.key)))


def supervised_sets(store: Store, grid: Grid) -> Iterator[SupervisedSet]:
    """Yield all finished sets: the data sets, then the selections that drop rows."""
    done = store.finished_keys()
    for pairs in (pairs for pairs in grid.sets if pairs.responses.key in done):
        yield SupervisedSet(set_name(pairs), pairs.responses, pairs)
    for pairs, selection, step, seed, base in grid.selected:
        if step.key in done and isinstance(step.params, SelectParams) and _is_filtered(step.params.selection):
            name = "-".join(filter(None, (set_name(pairs), selection, base))) + seed_suffix(seed)
            yield SupervisedSet(name, step, pairs, selection)


def _export_supervised(store: Store, study: Study, grid: Grid, folder: Path, form: Format) -> Iterator[Exported]:
    for each in supervised_sets(store, grid):
        path = folder / f"{each.name}.{_file_suffix(form)}"
        yield Exported(path, *write_records(path, each.records(store, study, form)), each.pairs, each.selection)


def _export_preferences(store: Store, study: Study, grid: Grid, folder: Path) -> Iterator[Exported]:
    done = store.finished_keys()
    for pairs in grid.sets:
        if isinstance(pairs.responses.params, CheckParams) and pairs.responses.key in done:
            path = folder / f"{set_name(pairs)}.dpo.jsonl"
            rows = [*preferences(store, pairs.responses, study.seed)]
            turns = any(row.before for row in rows)
            written = write_records(path, (preference(row, turns) for row in rows))
            yield Exported(path, *written, pairs, ranking=True, conversational=turns)


def _is_filtered(selection: Selection) -> bool:
    return selection.model_copy(update={"name": "all"}) != Selection(name="all")


def _file_suffix(form: Format) -> str:
    return "sft.parquet" if form == "parquet" else f"{form}.jsonl"


def _dataset_info(file: Exported, form: Format) -> Record:
    return {"file_name": file.path.name} | (
        LLAMA_FACTORY_PREFERENCES if file.ranking else llama_factory(form, file.columns)
    )


def write_records(path: Path, records: Iterable[Record]) -> tuple[int, tuple[str, ...]]:
    """Write rows as JSON Lines or, if the file is named so, as Parquet; return their number and their columns."""
    rows = same_columns([*records])
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path, compression="zstd")
    else:
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return len(rows), tuple(rows[0]) if rows else ()
