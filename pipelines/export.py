"""Data sets as files for other tools: supervised pairs as Alpaca JSON Lines, AutoIF's preferences beside them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pipelines.evolve.autoif.check import FAILS_CHECK
from pipelines.evolve.autoif.export import DpoRow, Response, dpo_rows
from pipelines.evolve.autoif.rules import RULES
from pipelines.respond import user_turn
from pipelines.rows import CheckedRow, Rejection, ResponseRow, from_table
from pipelines.store.store import Store
from pipelines.study.grid import Grid, PairSet
from pipelines.study.steps import CheckJob


@dataclass(frozen=True, slots=True)
class Exported:
    """A file that was written, and its rows."""

    path: Path
    rows: int


def export(store: Store, grid: Grid, folder: Path, seed: int) -> list[Exported]:
    """Write every finished set of a study into `folder`: NAME.sft.jsonl and, of AutoIF, NAME.dpo.jsonl.

    Preferences: two answers at most that were kept against two at most that no function accepts (2406.13542), drawn
    by `seed`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    done = store.done()
    written: list[Exported] = []
    for pairs in (pairs for pairs in grid.sets if pairs.responses.key in done):
        answers = from_table(ResponseRow, store.rows(pairs.responses.kind, pairs.responses.key))
        written.append(_write(folder / f"{_name(pairs)}.sft.jsonl", map(_alpaca, answers)))
        if isinstance(pairs.responses.job, CheckJob):
            rows = map(asdict, _preferences(store, pairs, pairs.responses.job, seed))
            written.append(_write(folder / f"{_name(pairs)}.dpo.jsonl", rows))
    return written


def _alpaca(row: ResponseRow) -> dict[str, str]:
    return {"instruction": row.instruction, "input": row.input, "output": row.response}


def _preferences(store: Store, pairs: PairSet, job: CheckJob, seed: int) -> Iterator[DpoRow]:
    check, (respond,) = pairs.responses, pairs.responses.inputs
    rates = {row.parent_id: row.pass_rate for row in from_table(CheckedRow, store.rows(check.kind, check.key))}
    lost = from_table(Rejection, store.rows(check.kind, check.key, "rejected"))
    rates |= {row.parent_id: float(row.detail) for row in lost if row.reason == FAILS_CHECK}
    answers: dict[tuple[str, str], list[Response]] = defaultdict(list)
    for row in from_table(ResponseRow, store.rows(respond.kind, respond.key)):
        if row.id in rates:
            answers[row.parent_id, user_turn(row.instruction, row.input)].append(Response(row.response, rates[row.id]))
    for (_, prompt), found in answers.items():
        yield from dpo_rows(prompt, found, RULES[job.rules], seed)


def _name(pairs: PairSet) -> str:
    evolved = [*filter(None, (pairs.method, pairs.evolver)), f"r{pairs.round}"] if pairs.evolver else ["seeds"]
    return "-".join([pairs.seeds, *evolved, pairs.teacher, pairs.decoding])


def _write(path: Path, rows: Iterable[Mapping[str, str]]) -> Exported:
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return Exported(path, len(lines))
