"""Finds the instructions of a set that overlap with benchmark tasks, and commits each set as a step."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.evaluate.task_texts import task_texts
from pipelines.execution.runtime.commit import commit_step
from pipelines.execution.runtime.context import RunContext
from pipelines.execution.steps.instruction_sets import read_instructions, write_results
from pipelines.operators.similarity.embedding import ray_encoder
from pipelines.operators.similarity.overlap import NgramIndex, Overlap, near_duplicates
from pipelines.operators.similarity.vectors import Vectors
from pipelines.planning.plan import Plan
from pipelines.rows.types import ContaminationRow, Row
from pipelines.store.manifest import Manifest
from pipelines.store.store import Store
from pipelines.study.graph.steps.params.measures import ContaminationParams
from pipelines.study.graph.steps.step import Step
from pipelines.study.inputs.encoders import encoder_spec
from pipelines.study.inputs.references import reference_label
from pipelines.study.spec.study import Study

ReferenceTexts = Mapping[str, Sequence[str]]
"""The texts of the tasks that instructions are checked against, by the names of their sources."""


def run_contaminations(context: RunContext, plan: Plan) -> Plan:
    """Run and commit all pending contamination steps, whose inputs are finished; return the plan with them finished."""
    steps, study = plan.pending_of("contamination"), context.study
    if not steps or study.contamination is None:
        return plan
    sources = {
        reference_label(study, name): task_texts(study, context.folder, name) for name in study.contamination.against
    }
    vectors = _embed_references(study, context.folder, sources)
    for step in steps:
        context.progress.finish_step(run_contamination(context.store, step, sources, vectors))
    return plan.with_finished(step.key for step in steps)


def run_contamination(
    store: Store, step: Step, sources: ReferenceTexts, vectors: Mapping[str, Vectors] | None = None
) -> Manifest:
    """Run and commit one contamination step whose inputs are finished.

    `vectors` are the unit embeddings of the tasks by source; only a step that looks for near-duplicates needs them. The
    manifest's `extra` counts the tasks that are too short to share an n-gram, by measure and source.
    """
    started, job = time.monotonic(), step.params
    assert isinstance(job, ContaminationParams)
    source, *diversity_steps = step.inputs
    indices = [NgramIndex(sources, n) for n in job.contamination.ngrams]
    near_duplicates_of = (
        _near_duplicates(store, diversity_steps[0], sources, vectors or {}, job.contamination.near or 0.0)
        if diversity_steps
        else {}
    )

    def contamination_rows() -> Iterator[Row]:
        for row in read_instructions(store, source):
            if row.is_member:
                overlaps = [overlap for index in indices for overlap in index.overlaps(row.text)]
                yield ContaminationRow(
                    *row.derived_ids(step.key), *_columns([*overlaps, *near_duplicates_of.get(row.id, [])])
                )
            else:
                yield row.reject(step.key)

    shards, account = write_results(store, step, contamination_rows())
    short = {index.measure: dict(index.short) for index in indices}
    return commit_step(store, step, account, shards, time.monotonic() - started, {"too_short": short})


def _columns(overlaps: Sequence[Overlap]) -> Iterator[list[Any]]:
    """Return overlaps as the list columns of a row, one list per field of `Overlap`."""
    return ([getattr(overlap, name) for overlap in overlaps] for name in Overlap.__dataclass_fields__)


def _near_duplicates(
    store: Store, step: Step, sources: ReferenceTexts, vectors: Mapping[str, Vectors], threshold: float
) -> dict[str, list[Overlap]]:
    """Return the tasks that are near-duplicates of instructions, by the ids of the instructions.

    `step` is the diversity step that embedded the instructions.
    """
    found: dict[str, list[Overlap]] = {}
    for table in store.tables(step.kind, step.key, columns=["parent_id", "vector"]):
        ids = table.column("parent_id").to_pylist()
        data = np.frombuffer(b"".join(table.column("vector").to_pylist()), dtype=np.float32)
        for name, texts in sources.items() if ids else ():
            near = near_duplicates(data.reshape(len(ids), -1), name, texts, vectors[name], threshold)
            for row, overlap in near.items():
                found.setdefault(ids[row], []).append(overlap)
    return found


def _embed_references(study: Study, folder: Path, sources: ReferenceTexts) -> dict[str, Vectors]:
    """Return the embeddings of all tasks by source; empty if the study does not look for near-duplicates."""
    if study.diversity is None or study.contamination is None or study.contamination.near is None:
        return {}
    with ray_encoder(encoder_spec(study.diversity, folder), max(map(len, sources.values()))) as embeds:
        panels = {name: embeds.panels(texts) for name, texts in sources.items()}
        return {name: np.concatenate([embeds.fetch(panel) for panel in found]) for name, found in panels.items()}
