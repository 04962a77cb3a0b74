"""Which instructions of a set overlap with benchmark tasks, each set committed as a step."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from pipelines.evaluate.task_texts import tasks
from pipelines.execution.runtime.commit import commit
from pipelines.execution.runtime.context import Context
from pipelines.execution.steps.instruction_sets import instructions, tables, write
from pipelines.operators.similarity.embedding import encoder
from pipelines.operators.similarity.overlap import Ngrams, Overlap, near_duplicates
from pipelines.operators.similarity.vectors import Vectors
from pipelines.rows.types import ContaminationRow, Row
from pipelines.store.manifest import Manifest
from pipelines.store.store import Store
from pipelines.study.graph.params import ContaminationJob
from pipelines.study.graph.step import Step
from pipelines.study.inputs.encoders import encoder_spec
from pipelines.study.inputs.references import label

Sources = Mapping[str, Sequence[str]]
"""The texts of the tasks that instructions are checked against, by the names of their sources."""


def run_contaminations(context: Context) -> None:
    """Run and commit all unfinished contamination steps of the plan, whose inputs are finished."""
    steps, study = context.plan.pending_of("contamination"), context.study
    if not steps or study.contamination is None:
        return
    sources = {label(study, name): tasks(study, context.folder, name) for name in study.contamination.against}
    vectors = _embedded(context, sources)
    for step in steps:
        context.board.finish(step.key, context.told(contamination(context.store, step, sources, vectors)))


def contamination(store: Store, step: Step, sources: Sources, vectors: Mapping[str, Vectors] | None = None) -> Manifest:
    """Run and commit one contamination step whose inputs are finished.

    `vectors` are the unit embeddings of the sources' tasks, for a step that looks for near-duplicates. The manifest's
    `extra` counts by measure and source the tasks that are too short to share an n-gram.
    """
    started, job = time.monotonic(), step.job
    assert isinstance(job, ContaminationJob)
    source, *embedded = step.inputs
    indices = [Ngrams(sources, n) for n in job.contamination.ngrams]
    near = _near(store, embedded[0], sources, vectors or {}, job.contamination.near or 0.0) if embedded else {}

    def found() -> Iterator[Row]:
        for row in instructions(store, source):
            if row.member:
                overlaps = [overlap for index in indices for overlap in index.overlaps(row.text)]
                yield ContaminationRow(*row.made(step.key), *_columns([*overlaps, *near.get(row.id, [])]))
            else:
                yield row.left_out(step.key)

    shards, account = write(store, step, found())
    short = {index.measure: dict(index.short) for index in indices}
    return commit(store, step, account, shards, time.monotonic() - started, {"too_short": short})


def _columns(overlaps: Sequence[Overlap]) -> Iterator[list[Any]]:
    """Overlaps as the lists of a row."""
    return ([getattr(overlap, name) for overlap in overlaps] for name in Overlap.__dataclass_fields__)


def _near(
    store: Store, step: Step, sources: Sources, vectors: Mapping[str, Vectors], threshold: float
) -> dict[str, list[Overlap]]:
    """Near-duplicates among the tasks by the ids of the instructions that a diversity step has embedded."""
    found: dict[str, list[Overlap]] = {}
    for table in tables(store, step, ["parent_id", "vector"]):
        ids = table.column("parent_id").to_pylist()
        data = np.frombuffer(b"".join(table.column("vector").to_pylist()), dtype=np.float32)
        for name, texts in sources.items() if ids else ():
            near = near_duplicates(data.reshape(len(ids), -1), name, texts, vectors[name], threshold)
            for row, overlap in near.items():
                found.setdefault(ids[row], []).append(overlap)
    return found


def _embedded(context: Context, sources: Sources) -> dict[str, Vectors]:
    """The embeddings of all tasks, if near-duplicates are looked for."""
    study = context.study
    if study.diversity is None or study.contamination is None or study.contamination.near is None:
        return {}
    with encoder(encoder_spec(study.diversity, context.folder), max(map(len, sources.values()))) as embeds:
        panels = {name: embeds.panels(texts) for name, texts in sources.items()}
        return {name: np.concatenate([embeds.fetch(panel) for panel in found]) for name, found in panels.items()}
