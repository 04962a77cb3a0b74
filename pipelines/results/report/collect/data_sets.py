"""Collects the report's facts on data sets: scores, verification by the closed world, and examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from statistics import fmean

from bundled.world import METHODS, correct, is_valid_evolution, level_of
from pipelines.operators.select.measurements import reported_values
from pipelines.results.report.data.report import Example, SetScore, Turn
from pipelines.results.report.data.set_key import set_key
from pipelines.rows.arrow import from_table
from pipelines.rows.text import shown_conversation
from pipelines.rows.types import InstructionRow, ResponseRow
from pipelines.store.store import Store
from pipelines.study.graph.grid import Grid, InstructionDataset
from pipelines.study.graph.methods import AUTO
from pipelines.study.graph.step import Step

MAX_EXAMPLES = 4


class Sets:
    """Reads a grid's data sets whose steps are finished."""

    def __init__(self, store: Store, grid: Grid, done: frozenset[str], seed: int) -> None:
        self.store, self.done, self.seed = store, done, seed
        self.sets = [pairs for pairs in grid.sets if pairs.responses.key in done]
        self.instructions = lru_cache(maxsize=None)(self._instructions)
        self.responses = lru_cache(maxsize=None)(self._responses)
        self.answers = lru_cache(maxsize=None)(self._answers_by_instruction)

    def _instructions(self, step: Step) -> Mapping[str, InstructionRow]:
        return {row.id: row for row in from_table(InstructionRow, self.store.rows(step.kind, step.key))}

    def _responses(self, step: Step) -> Sequence[ResponseRow]:
        return from_table(ResponseRow, self.store.rows(step.kind, step.key))

    def _answers_by_instruction(self, pairs: InstructionDataset) -> Mapping[str, ResponseRow]:
        """Return an answer to each instruction by the instruction's id, through the rows of the steps between them."""
        found = {row.id: row for row in reversed(self.responses(pairs.responses))}
        step = pairs.responses
        while step.key != pairs.instructions.key:
            parents = self.store.rows(step.kind, step.key, columns=["id", "parent_id"]).to_pylist()
            found = {row["parent_id"]: found[row["id"]] for row in reversed(parents) if row["id"] in found}
            step = step.inputs[0]
        return found

    def scores(self) -> Iterator[SetScore]:
        """Yield one entry per data set."""
        for pairs in self.sets:
            yield self._score(pairs)

    def _score(self, pairs: InstructionDataset) -> SetScore:
        responses = self.responses(pairs.responses)
        values = reported_values(self.store, pairs, self.done, self.seed)
        return SetScore(
            set=set_key(pairs),
            rows=len(responses),
            skipped=len(responses) - self._row_count(pairs.scores) if pairs.scores else 0,
            means={name: fmean(known) for name, known in values.items() if known},
            words=fmean(len(row.instruction.split()) for row in responses) if responses else 0.0,
            correct=_correct_share(responses),
            valid=self._valid_share(pairs.instructions),
        )

    def _row_count(self, step: Step) -> int:
        return self.store.manifest(step.kind, step.key).account.rows_out if step.key in self.done else 0

    def _valid_share(self, step: Step) -> float | None:
        """Return the share of verifiable evolutions among those of verifiable instructions, in percent."""
        checked = [
            any(is_valid_evolution(row.before, row.evolved, method) for method in _allowed_methods(row.method))
            for row in self.instructions(step).values()
            if row.round > 0
            and not (row.eliminated or row.kept)
            and _allowed_methods(row.method)
            and level_of(row.before) is not None
        ]
        return 100.0 * fmean(checked) if checked else None

    def examples(self) -> Iterator[Example]:
        """Yield the first seeds that passed all rounds of all their evolvers, evolver by evolver."""
        last = {(pairs.seeds, pairs.evolved_by): pairs.instructions for pairs in self.sets if pairs.evolved_by}
        for seeds, evolver in last:
            shown = self._common_seeds([step for (of, _), step in last.items() if of == seeds])
            step = last[seeds, evolver]
            for row in {row.seed_id: row for row in reversed([*self.instructions(step).values()])}.values():
                if row.seed_id in shown:
                    yield Example(row.seed_id, seeds, evolver, tuple(self._turns(row, step))[::-1])

    def _common_seeds(self, steps: list[Step]) -> set[str]:
        """Return the first few seeds that have rows in all these last rounds."""
        left = [{row.seed_id: row.index for row in self.instructions(step).values()} for step in steps]
        common = set[str].intersection(*(set(seeds) for seeds in left))
        return set(sorted(common, key=left[0].__getitem__)[:MAX_EXAMPLES])

    def _turns(self, row: InstructionRow, step: Step) -> Iterator[Turn]:
        """Yield the turns from a row back to its seed, one per round."""
        yield Turn(row.round, row.method, shown_conversation(row), row.outcome, self._answers(row, step))
        if step.kind == "eliminate":
            step = step.inputs[0]
            row = self.instructions(step)[row.parent_id]
        if step.kind == "pair":
            seeds = step.inputs[1]
            yield from self._turns(self.instructions(seeds)[row.seed_id], seeds)
        elif step.inputs:
            parent = self.instructions(step.inputs[0])[row.parent_id]
            yield from self._turns(parent, step.inputs[0])

    def _answers(self, row: InstructionRow, step: Step) -> tuple[tuple[str, str], ...]:
        answered = [pairs for pairs in self.sets if pairs.instructions is step]
        several = len({pairs.decoding for pairs in answered}) > 1
        found = ((pairs, self.answers(pairs).get(row.id)) for pairs in answered)
        return tuple(
            (f"{pairs.teacher} {pairs.decoding}" if several else pairs.teacher, answer.response)
            for pairs, answer in found
            if answer
        )


def _allowed_methods(method: str) -> Sequence[str]:
    """Return the closed world's methods that an evolution may use: all, if the prompt leaves the choice open."""
    if method == AUTO:
        return METHODS
    return [method] if method in METHODS else []


def _correct_share(responses: Sequence[ResponseRow]) -> float | None:
    """Return the share of right answers among those that the closed world can check, in percent."""
    checkable = [row for row in responses if not row.input and level_of(row.instruction) is not None]
    return 100.0 * fmean(correct(row.instruction, row.response) for row in checkable) if checkable else None
