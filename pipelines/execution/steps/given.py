"""Reads answers that exist already: those of the seeds, of another column of their files, or of other files."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from hashlib import blake2b
from pathlib import Path

from pipelines.errors import InputError
from pipelines.execution.runtime.commit import commit_step
from pipelines.execution.steps.instruction_sets import write_results
from pipelines.rows.arrow import from_table
from pipelines.rows.ids import row_id
from pipelines.rows.operator import EMPTY
from pipelines.rows.readers import BadRow, SeedRow, SeedSource, iter_seeds
from pipelines.rows.types import InstructionRow, Rejection, ResponseRow
from pipelines.store.manifest import Manifest
from pipelines.store.store import Store
from pipelines.study.graph.steps.params.answers import GivenParams
from pipelines.study.graph.steps.step import Step
from pipelines.study.inputs.seeds import given_source
from pipelines.study.spec.study import Study
from prompts.refusals import is_refusal
from prompts.thoughts import split_thoughts

NO_ANSWER = "no_answer"
UNMATCHED_NOTE = "an answer to an instruction that no seed has"
Answer = str | BadRow | None
"""The answer to a seed, the row that could not be read in its place, or None if there is no row for it."""
Lookup = Callable[[InstructionRow], Answer]


def run_given(study: Study, folder: Path, store: Store, step: Step) -> Manifest:
    """Read the answers to the rows of a finished seeds step, and commit them. `folder` is that of the study's file.

    A seed without an answer is rejected. Answers to no seed are counted in the manifest's notes. Answers that are
    matched by row are read one by one; those that are matched by instruction are held in memory.

    Raises:
        InputError: If a file is not valid, or has no answer to any seed. Nothing is left in the store then.
    """
    del study
    job = step.params
    assert isinstance(job, GivenParams)
    started = time.monotonic()
    source = given_source(job.given, job.seeds, folder)
    try:
        if source is None:
            found = _Own()
        elif job.given.file is None or job.given.match == "row":
            found = _ByRow(source)
        else:
            found = _ByInstruction(source)
        shards, account = write_results(store, step, _answers(store, step, found.find))
        if source and account.rows_in and account.reasons.get(NO_ANSWER, 0) == account.rows_in:
            how = "the row's number" if job.given.match == "row" else "instruction and input"
            remedy = "Name its columns under 'columns', or match by 'row' if the files have the same order."
            raise InputError(f"no answer belongs to a seed, by {how}", file=str(source.files[0]), remedy=remedy)
    except InputError:
        store.remove([store.folder(step.kind, step.key)])
        raise
    unmatched = found.counts["read"] - found.counts["used"]
    extra = {"notes": {UNMATCHED_NOTE: unmatched}} if unmatched else None
    return commit_step(store, step, account, shards, time.monotonic() - started, extra)


def _answers(store: Store, step: Step, find: Lookup) -> Iterator[ResponseRow | Rejection]:
    """Yield the answer to each seed, in order, or the reason why there is none."""
    seeds = step.inputs[0]
    for table in store.tables(seeds.kind, seeds.key):
        for row in from_table(InstructionRow, table):
            yield _answer(row, row_id(row.id, step.key), find(row))


def _answer(row: InstructionRow, new_id: str, answer: Answer) -> ResponseRow | Rejection:
    if isinstance(answer, BadRow):
        place = f"line {answer.line}" if answer.line is not None else f"row {answer.row} (from 0)"
        detail = f"{place}: {answer.detail}"
        return Rejection(**row.lineage(new_id), status="rejected", reason=answer.reason, detail=detail, raw=answer.raw)
    said = split_thoughts(answer or "")
    if not said.reply.strip():
        reason = NO_ANSWER if answer is None else EMPTY
        return Rejection(**row.lineage(new_id), status="rejected", reason=reason, detail="", raw="")
    return ResponseRow(
        **row.lineage(new_id),
        instruction=row.instruction,
        input=row.input,
        response=said.reply,
        finish_reason="stop",
        tokens_in=0,
        tokens_out=0,
        refused=is_refusal(said.reply),
        system=row.system,
        history=row.history,
        thoughts=said.thoughts,
    )


class _Own:
    """Finds the answers that the rows of the seeds have themselves."""

    def __init__(self) -> None:
        self.counts = Counter[str]()

    def find(self, row: InstructionRow) -> Answer:
        """Return the answer to a seed; None if its record has none."""
        return row.reference


class _ByRow:
    """Finds the answers to seeds, which are asked for in the order of their indices, in the rows of these numbers."""

    def __init__(self, source: SeedSource) -> None:
        self.counts = Counter[str]()
        self._rows = iter_seeds(source)
        self._next: SeedRow | BadRow | None = next(self._rows, None)

    def find(self, row: InstructionRow) -> Answer:
        """Return the answer to a seed."""
        while self._next is not None and self._next.index < row.index:
            self._next = next(self._rows, None)
        found = self._next
        if found is None or found.index > row.index:
            return None
        return found if isinstance(found, BadRow) else found.output


class _ByInstruction:
    """Finds the answers to seeds by their instruction and input. The n-th of equal seeds has the n-th answer."""

    def __init__(self, source: SeedSource) -> None:
        self.counts = Counter[str]()
        self._answers: dict[bytes, list[str]] = {}
        self._used = Counter[bytes]()
        with closing(iter_seeds(source)) as rows:
            for row in rows:
                self.counts["read"] += 1
                if isinstance(row, SeedRow):
                    self._answers.setdefault(_digest(row), []).append(row.output)

    def find(self, row: InstructionRow) -> Answer:
        """Return the answer to a seed; if the seed is repeated more often than it was answered, the last one."""
        key = _digest(row)
        answers = self._answers.get(key)
        if answers is None:
            return None
        place = self._used[key]
        self._used[key] += 1
        self.counts["used"] += place < len(answers)
        return answers[min(place, len(answers) - 1)]


def _digest(row: SeedRow | InstructionRow) -> bytes:
    return blake2b(f"{row.instruction.strip()}\0{row.input.strip()}".encode(), digest_size=16).digest()
