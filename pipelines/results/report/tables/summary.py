"""What follows from the results: the gain over the untuned base, the best student, the key figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cluster.plural import plural
from pipelines.results.report.data.report import ReportData, Result
from pipelines.results.report.tables.number_format import duration, number, signed
from pipelines.rows.types import ELIMINATED, KEPT

UNTUNED = -1


@dataclass(frozen=True, slots=True)
class GainRow:
    """A result and that of the same student's untuned base model (None if that was not evaluated)."""

    result: Result
    base: Result | None

    @property
    def delta(self) -> float | None:
        """Percentage points gained over the base; None for the base itself."""
        if self.base is None or self.result.round == UNTUNED:
            return None
        return self.result.value - self.base.value

    @property
    def is_significant(self) -> bool:
        """Whether the 95 % intervals of the result and of its base are disjoint."""
        return self.base is not None and (self.result.low > self.base.high or self.result.high < self.base.low)


@dataclass(frozen=True, slots=True)
class KeyFigure:
    """One number at the top of the page, with a line that explains it."""

    name: str
    value: str
    note: str


def gain_rows(results: Sequence[Result]) -> list[GainRow]:
    """Return every result with its base, in the given order."""
    bases: dict[tuple[str, str], Result] = {}
    for result in results:
        if result.round == UNTUNED:
            bases.setdefault((result.student, result.measure), result)
    return [GainRow(result, bases.get((result.student, result.measure))) for result in results]


def best_gain(results: Sequence[Result]) -> GainRow | None:
    """Return the tuned student with the largest gain over its base, or with the highest value if there are no bases."""
    tuned = [row for row in gain_rows(results) if row.result.round != UNTUNED]
    measured = [row for row in tuned if row.delta is not None]
    if measured:
        return max(measured, key=lambda row: row.delta or 0.0)
    return max(tuned, key=lambda row: row.result.value, default=None)


def sort_by_size(names: Iterable[str], sizes: Iterable[tuple[str, int]]) -> list[str]:
    """Return the distinct non-empty names, smallest model first; those of unknown size last, in order of appearance."""
    known = dict(sizes)
    return sorted(dict.fromkeys(name for name in names if name), key=lambda name: known.get(name, float("inf")))


def key_figures(data: ReportData) -> list[KeyFigure]:
    """Return the numbers at the top of the page: what was produced, at what cost, and the best result."""
    peak = None if data.peak_memory_gib is None else f"{data.peak_memory_gib:.1f} GiB"
    figures = [
        _rows_figure(data),
        _cells_figure(data),
        _trainings_figure(data),
        KeyFigure("Wall time", duration(data.wall_seconds), _cached_note(data)),
        KeyFigure("Peak memory", peak or "–", "of all processes" if peak else "not measured"),
    ]
    top = best_gain(data.results)
    return [*figures, _best_figure(top)] if top else figures


def cell_count(data: ReportData) -> int:
    """Return the number of trained cells; if no student was trained, that of answered data sets."""
    trained = {
        (r.seeds, r.evolver, r.round, r.teacher, r.decoding, r.selection, r.student, r.recipe)
        for r in data.results
        if r.round != UNTUNED
    }
    return len(trained) or len(data.sets)


def _rows_figure(data: ReportData) -> KeyFigure:
    made = {
        kind: sum(step.rows_out for step in data.steps if step.kind == kind) for kind in ("evolve", "respond", "choose")
    }
    evolved = made["evolve"] - sum(one.rows for one in data.rounds if one.outcome.startswith((ELIMINATED, KEPT)))
    note = f"{evolved:,} instructions evolved, {made['respond'] + made['choose']:,} answered"
    return KeyFigure("Rows", f"{sum(made.values()):,}", note)


def _cells_figure(data: ReportData) -> KeyFigure:
    evolvers = {s.set.evolver for s in data.sets if s.set.evolver} | {r.evolver for r in data.results if r.evolver}
    teachers = {s.set.teacher for s in data.sets if s.set.teacher} | {r.teacher for r in data.results if r.teacher}
    rounds = {s.set.round for s in data.sets if s.set.round > 0} | {r.round for r in data.results if r.round > 0}
    students = {r.student for r in data.results}
    parts = ((evolvers, "evolver"), (rounds, "round"), (teachers, "teacher"), (students, "student"))
    note = " × ".join(plural(len(names), word) for names, word in parts if names)
    return KeyFigure("Cells", f"{cell_count(data):,}", note or "nothing answered yet")


def _trainings_figure(data: ReportData) -> KeyFigure:
    trainings = [step for step in data.steps if step.kind == "train"]
    spent = sum(step.actual_seconds for step in trainings)
    return KeyFigure(
        "Trainings", f"{len(trainings):,}", f"{duration(spent)} of training" if trainings else "no students"
    )


def _cached_note(data: ReportData) -> str:
    cached = sum(step.cached for step in data.steps)
    return f"{plural(len(data.steps), 'step')}, {cached:,} from earlier runs"


def _best_figure(row: GainRow) -> KeyFigure:
    value = f"{number(row.result.value)} %"
    if row.base is None:
        return KeyFigure("Best student", value, row.result.student)
    note = f"{row.result.student}: {signed(row.delta)} points over {number(row.base.value)} % untuned"
    return KeyFigure("Best student", value, note)
