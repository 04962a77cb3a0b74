"""Collects the report's data from the store. Unfinished steps are left out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.operators.select.measurements import list_reported
from pipelines.planning.model_size import parameters
from pipelines.results.report.collect.data_sets import Sets
from pipelines.results.report.collect.instructions import Instructions
from pipelines.results.report.collect.methods import collect_methods
from pipelines.results.report.collect.outcomes import Outcomes
from pipelines.results.report.collect.presentation import collect_correlations, collect_presentation
from pipelines.results.report.collect.results import collect_results
from pipelines.results.report.collect.rewards import Rewards
from pipelines.results.report.collect.score_distributions import ScoreDistributions
from pipelines.results.report.collect.search import collect_search
from pipelines.results.report.collect.seed_means import average_over_seeds
from pipelines.results.report.data.report import LossCurve, ReportData, RetryCounts, StepAccount
from pipelines.store.manifest import Manifest, versions
from pipelines.store.store import Store
from pipelines.store.studies.retry_log import load_retries
from pipelines.store.studies.run_record import RunRecord, load_record
from pipelines.study.graph.steps.grid import Grid
from pipelines.study.inputs.published import read_published
from pipelines.study.spec.study import Study


def collect_report(study: Study, folder: Path, grid: Grid, store: Store) -> ReportData:
    """Return everything that the report of a study shows. `folder` is the study file's."""
    done = store.finished_keys()
    record = load_record(store, study.study)
    manifests = {key: store.manifest(step.kind, key) for key, step in grid.steps.items() if key in done}
    sets, spread = Sets(store, grid, done, study.seed), ScoreDistributions(store, grid, done, study.seed)
    outcomes, rewards = Outcomes(store, grid, done), Rewards(store, grid, done)
    instructions = Instructions(study, store, grid, done)
    search = collect_search(study, grid, store)
    presentation = collect_presentation(study, grid, done, search)
    by_run = collect_results(grid, store, manifests, folder)
    task_scores = average_over_seeds(by_run)
    return ReportData(
        study=study.study,
        description=study.description,
        created=record.created if record else "",
        versions=tuple(versions().items()),
        wall_seconds=record.wall_seconds if record else 0.0,
        peak_memory_gib=record.peak_memory_gib if record else None,
        model_sizes=tuple((name, parameters(model, folder)) for name, model in study.models.items()),
        results=tuple(task_scores),
        task_scores=task_scores,
        runs=tuple(by_run) if len(by_run) > len(task_scores) else (),
        published=tuple(read_published(folder / study.published)) if study.published else (),
        sets=tuple(sets.scores()),
        metrics=list_reported(grid.sets),
        examples=tuple(sets.examples()),
        steps=tuple(_step_account(manifest, record) for manifest in manifests.values()),
        losses=tuple(_loss_curves(grid, manifests)),
        rounds=tuple(outcomes.round_outcomes()),
        replies=tuple(outcomes.reply_outcomes()),
        methods=tuple(collect_methods(store, grid, done)),
        rewards=tuple(rewards.rewards()),
        cars=tuple(rewards.cars(study.car)),
        flags=tuple(rewards.flags()),
        diversities=tuple(instructions.diversities()),
        overlaps=tuple(instructions.overlaps()),
        selections=tuple(instructions.selections()),
        judgements=tuple(spread.judgements()),
        distributions=tuple(spread.distributions()),
        probabilities=tuple(spread.probabilities()),
        confidences=tuple(spread.confidences()),
        search=search,
        presentation=presentation,
        correlations=tuple(collect_correlations(presentation.correlated, study, folder, grid, store)),
        retries=tuple(RetryCounts(**retry.model_dump()) for retry in load_retries(store, study.study)),
    )


def _step_account(manifest: Manifest, record: RunRecord | None) -> StepAccount:
    account = manifest.account
    return StepAccount(
        key=manifest.key,
        kind=manifest.kind,
        label=manifest.label,
        rows_in=account.rows_in,
        rows_out=account.rows_out,
        rejected=account.rejected,
        failed=account.failed,
        reasons=tuple(account.reasons.items()),
        planned_seconds=record.planned.get(manifest.key, 0.0) if record else 0.0,
        actual_seconds=manifest.seconds,
        cached=record is None or manifest.key not in record.ran,
        notes=tuple(manifest.notes.items()),
    )


def _loss_curves(grid: Grid, manifests: dict[str, Manifest]) -> Iterator[LossCurve]:
    for cell in grid.cells:
        if cell.train is None or cell.pairs is None or cell.train.key not in manifests:
            continue
        extra = manifests[cell.train.key].extra
        losses: list[tuple[int, float]] = extra["losses"]
        speed: dict[str, Any] = {name: value for name, value in extra["speed"].items() if name != "parameters"}
        yield LossCurve(
            label=cell.train.subject,
            student=f"{cell.student.model} {cell.student.recipe}",
            steps=tuple(step for step, _ in losses),
            losses=tuple(loss for _, loss in losses),
            evolver=cell.pairs.evolved_by,
            round=cell.pairs.round,
            teacher=cell.pairs.teacher,
            together=extra["placement"]["together"],
            **speed,
        )
