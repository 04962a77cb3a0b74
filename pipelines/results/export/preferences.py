"""AutoIF, step 8: builds pairs for direct preference optimisation (DPO) from checked answers."""

from __future__ import annotations

import itertools
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pipelines.operators.autoif.check import FAILS_CHECK
from pipelines.operators.autoif.thresholds import PAPER_THRESHOLDS, THRESHOLDS, Thresholds
from pipelines.rows.arrow import from_table
from pipelines.rows.text import Message, context, user_turn
from pipelines.rows.types import CheckedRow, Rejection, ResponseRow
from pipelines.store.store import Store
from pipelines.study.graph.steps.params.answers import CheckParams
from pipelines.study.graph.steps.step import Step

PER_SIDE = 2


@dataclass(frozen=True)
class Response:
    """An answer and the share of functions that accept it."""

    text: str
    pass_rate: float


@dataclass(frozen=True)
class DpoRow:
    """A prompt with a better and a worse response. `before` are the messages before the prompt."""

    prompt: str
    chosen: str
    rejected: str
    before: tuple[Message, ...] = ()


def dpo_rows(
    prompt: str,
    responses: Sequence[Response],
    rules: Thresholds = PAPER_THRESHOLDS,
    seed: int = 0,
    before: tuple[Message, ...] = (),
) -> list[DpoRow]:
    """Return all pairs of up to two responses that pass and up to two that no function accepts.

    The responses are drawn at random; `seed` and `prompt` determine the draw.
    """
    draw = random.Random(f"{seed} {prompt}")
    chosen = _texts(response for response in responses if rules.chosen.passes(response.pass_rate))
    rejected = _texts(response for response in responses if response.pass_rate == 0)
    sides = [draw.sample(texts, min(PER_SIDE, len(texts))) for texts in (chosen, rejected)]
    return [DpoRow(prompt, better, worse, before) for better, worse in itertools.product(*sides)]


def _texts(responses: Iterable[Response]) -> list[str]:
    return list(dict.fromkeys(response.text for response in responses))


def preferences(store: Store, check: Step, seed: int) -> Iterator[DpoRow]:
    """Yield the pairs of a finished check step: per prompt, up to two accepted answers with up to two failed ones."""
    assert isinstance(check.params, CheckParams)
    (respond,) = check.inputs
    rates = {row.parent_id: row.pass_rate for row in from_table(CheckedRow, store.rows(check.kind, check.key))}
    lost = from_table(Rejection, store.rows(check.kind, check.key, "rejected"))
    rates |= {row.parent_id: float(row.detail) for row in lost if row.reason == FAILS_CHECK}
    answers: dict[tuple[str, tuple[Message, ...], str], list[Response]] = defaultdict(list)
    for row in from_table(ResponseRow, store.rows(respond.kind, respond.key)):
        if row.id in rates:
            prompt = row.parent_id, context(row), user_turn(row.instruction, row.input)
            answers[prompt].append(Response(row.response, rates[row.id]))
    for (_, before, prompt), found in answers.items():
        yield from dpo_rows(prompt, found, THRESHOLDS[check.params.rules], seed, before)
