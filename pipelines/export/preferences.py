"""AutoIF's preferences: answers that its functions accept against answers that they do not (2406.13542)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from pipelines.evolve.autoif.check import FAILS_CHECK
from pipelines.evolve.autoif.export import DpoRow, Response, dpo_rows
from pipelines.evolve.autoif.rules import RULES
from pipelines.respond import user_turn
from pipelines.rows import CheckedRow, Rejection, ResponseRow, from_table
from pipelines.store.store import Store
from pipelines.study.steps import CheckJob, Step


def preferences(store: Store, check: Step, seed: int) -> Iterator[DpoRow]:
    """Of a finished check step: for each prompt two kept answers at most against two at most that failed, by `seed`."""
    assert isinstance(check.job, CheckJob)
    (respond,) = check.inputs
    rates = {row.parent_id: row.pass_rate for row in from_table(CheckedRow, store.rows(check.kind, check.key))}
    lost = from_table(Rejection, store.rows(check.kind, check.key, "rejected"))
    rates |= {row.parent_id: float(row.detail) for row in lost if row.reason == FAILS_CHECK}
    answers: dict[tuple[str, str], list[Response]] = defaultdict(list)
    for row in from_table(ResponseRow, store.rows(respond.kind, respond.key)):
        if row.id in rates:
            answers[row.parent_id, user_turn(row.instruction, row.input)].append(Response(row.response, rates[row.id]))
    for (_, prompt), found in answers.items():
        yield from dpo_rows(prompt, found, RULES[check.job.rules], seed)
