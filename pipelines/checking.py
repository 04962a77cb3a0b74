"""AutoIF's check of answers as an operator of the stream: what an answer answers is looked up in the store."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from actors.engine import Client
from pipelines.evolve.autoif.asking import Asker
from pipelines.evolve.autoif.check import Check
from pipelines.evolve.autoif.judge import Score
from pipelines.evolve.autoif.rules import RULES
from pipelines.evolve.autoif.verdicts import Runner
from pipelines.rows import PairedRow, ResponseRow
from pipelines.store.parts import read_unit, unit_of
from pipelines.store.store import Store
from pipelines.study.steps import CheckJob, Step


@dataclass(frozen=True)
class Pairs:
    """The rows of a finished pair step, read as they are needed."""

    store: Store
    key: str

    def __call__(self, answer: ResponseRow) -> PairedRow:
        """What an answer answers."""
        return _unit(self.store.url, self.key, unit_of(answer.index))[answer.parent_id]


@lru_cache(maxsize=16)
def _unit(url: str, key: str, unit: int) -> dict[str, PairedRow]:
    return {row.id: row for row in read_unit(Store(url), "pair", key, unit) if isinstance(row, PairedRow)}


def checker(store: Store, step: Step, client: Client, runner: Runner) -> Check:
    """What a check step does with an answer."""
    job, (answers,) = step.job, step.inputs
    assert isinstance(job, CheckJob)
    rules = RULES[job.rules]
    score = Score(Asker(client, job.sampling.sampling, job.seed), rules, job.judgements)
    return Check(runner, score, rules, Pairs(store, answers.inputs[0].key))
