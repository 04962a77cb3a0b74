"""Saves the graph of a study in the store, with what its file alone says, for readers that do not have the file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipelines.planning.model_size import parameters
from pipelines.results.report.data.search import search_node
from pipelines.results.report.data.set_key import cell_coordinates, set_key
from pipelines.store.store import Store
from pipelines.store.studies.graph_record import CellNode, SetNode, StepNode, StudyGraph, load_graph, save_graph
from pipelines.store.studies.run_record import load_record
from pipelines.study.graph.steps.grid import Cell, Grid, InstructionDataset
from pipelines.study.graph.steps.step import Step
from pipelines.study.spec.study import Study


def save_study_graph(
    store: Store, study: Study, folder: Path, grid: Grid, planned: Mapping[str, float | None] | None = None
) -> None:
    """Save the graph of a study whose file is in `folder`.

    `planned` are estimated seconds by step key; by default, those that were saved before.
    """
    if planned is None:
        planned = _planned_before(store, study.study)
    sizes = sorted(((name, parameters(model, folder)) for name, model in study.models.items()), key=lambda one: one[1])
    graph = StudyGraph(
        study=study.study,
        description=study.description,
        steps=tuple(_step_node(step, planned.get(key)) for key, step in grid.steps.items()),
        sets=tuple(map(_set_node, grid.sets)),
        cells=tuple(map(_cell_node, grid.cells)),
        sizes=dict(sizes),
        budget={name: limit for name, limit in study.budget or () if limit is not None},
        search=search_node(study, grid),
    )
    save_graph(store, graph)


def _planned_before(store: Store, study: str) -> Mapping[str, float | None]:
    if before := load_graph(store, study):
        return {step.key: step.planned for step in before.steps}
    record = load_record(store, study)
    return record.planned if record else {}


def _step_node(step: Step, planned: float | None) -> StepNode:
    inputs = tuple(source.key for source in step.inputs)
    return StepNode(
        key=step.key,
        kind=step.kind,
        label=step.label,
        inputs=inputs,
        model=step.params.model,
        planned=planned,
        unites=step.unites,
    )


def _set_node(pairs: InstructionDataset) -> SetNode:
    return SetNode(**set_key(pairs)._asdict(), steps=tuple(step.key for step in pairs.steps))


def _cell_node(cell: Cell) -> CellNode:
    return CellNode(
        **cell_coordinates(cell),
        train=cell.train.key if cell.train else "",
        evaluations=tuple((benchmark, step.key) for benchmark, step in cell.evaluations),
    )
