"""Every mean of a data set as one number with a name: what published numbers of data sets are compared with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pipelines.results.report.data.report import ReportData
from pipelines.results.report.data.set_key import InstructionKey, SetKey


@dataclass(frozen=True, slots=True)
class SetNumber:
    """A metric of a data set, of its instructions, or of what a selection took of it."""

    metric: str
    set: SetKey | InstructionKey
    value: float
    selection: str = ""


def set_numbers(data: ReportData) -> Iterator[SetNumber]:
    """Yield the numbers of all data sets: metrics, rewards, CAR, distances, overlaps, judgements and selections.

    Names: a metric's own; `reward MODEL`; `car MODEL, beta B`; `distance`; `confidence` of the evolver;
    `contamination SOURCE MEASURE`; `METRIC` or `METRIC LABEL` of a judge, such as `difficulty_score`,
    `difficulty hard` and `tags diversity`; `selected METRIC`.
    """
    for scored in data.sets:
        yield from (SetNumber(name, scored.set, value) for name, value in scored.means.items())
    for reward in data.rewards:
        yield from _known(f"reward {reward.model}", reward.set, reward.mean)
    for car in data.cars:
        yield from (SetNumber(f"car {car.model}, beta {beta:g}", car.set, value) for beta, value in car.by_beta)
    for spread in data.diversities:
        yield from _known("distance", spread.set, spread.mean)
    for sure in data.confidences:
        yield SetNumber("confidence", sure.set.instructions, sure.mean)
    for overlap in data.overlaps:
        yield SetNumber(f"contamination {overlap.source} {overlap.measure}", overlap.set, overlap.rate)
    for judged in data.judgements:
        yield from _known(judged.metric, judged.set, judged.mean)
        yield from _known(f"{judged.metric} distinct", judged.set, judged.distinct)
        yield from _known(f"{judged.metric} diversity", judged.set, judged.diversity)
        yield from (SetNumber(f"{judged.metric} {share.label}", judged.set, share.percent) for share in judged.shares)
    for chosen in data.selections:
        yield from _known(f"selected {chosen.by}", chosen.set, chosen.mean, chosen.selection)


def _known(name: str, place: SetKey | InstructionKey, value: float | None, selection: str = "") -> Iterator[SetNumber]:
    if value is not None:
        yield SetNumber(name, place, value, selection)
