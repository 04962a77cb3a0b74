"""Collects the report's facts on data sets: scores, verification by the closed world, and examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from statistics import fmean

from bundled.world import METHODS, correct, is_valid_evolution, level_of
from pipelines.operators.select.measurements import reported_values
from pipelines.results.report.data.report import Example, SetScore, Turn
from pipelines.results.report.data.set_key import set_key
from pipelines.rows.arrow import from_table
from pipelines.rows.text import shown_conversation
from pipelines.rows.types import InstructionRow, ResponseRow, Row
from pipelines.store.partitions import partition_of
from pipelines.store.shards import read_partition_rows
from pipelines.store.store import Store
from pipelines.study.graph.steps.grid import Grid, InstructionDataset
from pipelines.study.graph.steps.methods import AUTO
from pipelines.study.graph.steps.step import Step

MAX_EXAMPLES = 4


class Sets:
    """Reads a grid's data sets whose steps are finished."""

    def __init__(self, store: Store, grid: Grid, done: frozenset[str], seed: int) -> None:
        self.store, self.done, self.seed = store, done, seed
        self.sets = [pairs for pairs in grid.sets if pairs.responses.key in done]
        self.rows_of_seed = lru_cache(maxsize=256)(self._rows_of_seed)

    def _rows_of_seed(self, step: Step, index: int) -> Mapping[str, Row]:
        """Return a finished step's rows of the seed with this index, by id."""
        rows = read_partition_rows(self.store, step.kind, step.key, partition_of(index))
        return {row.id: row for row in rows if row.index == index}

    def _instruction(self, step: Step, row_id: str, index: int) -> InstructionRow:
        row = self.rows_of_seed(step, index)[row_id]
        assert isinstance(row, InstructionRow)
        return row

    def _answer(self, pairs: InstructionDataset, instruction: InstructionRow) -> ResponseRow | None:
        """Return the first answer to an instruction, through the rows of the steps between them."""
        step, found = pairs.responses, self.rows_of_seed(pairs.responses, instruction.index)
        parents = {row_id: row.parent_id for row_id, row in found.items()}
        while (step := step.inputs[0]).key != pairs.instructions.key:
            between = self.rows_of_seed(step, instruction.index)
            parents = {row_id: between[parent].parent_id for row_id, parent in parents.items()}
        answers = (found[row_id] for row_id, parent in parents.items() if parent == instruction.id)
        return next((row for row in answers if isinstance(row, ResponseRow)), None)

    def scores(self) -> Iterator[SetScore]:
        """Yield one entry per data set."""
        for pairs in self.sets:
            yield self._score(pairs)

    def _score(self, pairs: InstructionDataset) -> SetScore:
        values = reported_values(self.store, pairs, self.done, self.seed)
        rows, words, checked = 0, 0, Counter[bool]()
        columns = ["instruction", "input", "response"]
        for table in self.store.tables(pairs.responses.kind, pairs.responses.key, columns=columns):
            rows += table.num_rows
            for row in table.to_pylist():
                words += len(row["instruction"].split())
                if not row["input"] and level_of(row["instruction"]) is not None:
                    checked[correct(row["instruction"], row["response"])] += 1
        return SetScore(
            set=set_key(pairs),
            rows=rows,
            skipped=rows - self._row_count(pairs.scores) if pairs.scores else 0,
            means={metric.column: fmean(known) for metric, known in values.items() if known},
            words=words / rows if rows else 0.0,
            correct=_share(checked),
            valid=self._valid_share(pairs.instructions),
        )

    def _row_count(self, step: Step) -> int:
        return self.store.manifest(step.kind, step.key).account.rows_out if step.key in self.done else 0

    def _valid_share(self, step: Step) -> float | None:
        """Return the share of verifiable evolutions among those of verifiable instructions, in percent."""
        checked = Counter[bool]()
        for table in self.store.tables(step.kind, step.key):
            for row in from_table(InstructionRow, table):
                methods, evolved = _allowed_methods(row.method), row.round > 0 and not (row.eliminated or row.kept)
                if evolved and methods and level_of(row.before) is not None:
                    checked[any(is_valid_evolution(row.before, row.evolved, method) for method in methods)] += 1
        return _share(checked)

    def examples(self) -> Iterator[Example]:
        """Yield the first seeds that passed all rounds of all their evolvers, evolver by evolver."""
        evolved = [pairs for pairs in self.sets if pairs.evolved_by and not pairs.union]
        last = {(pairs.seeds, pairs.evolved_by): pairs.instructions for pairs in evolved}
        for seeds, evolver in last:
            shown = self._common_seeds([step for (of, _), step in last.items() if of == seeds])
            step = last[seeds, evolver]
            for index in shown:
                row = next(iter(self.rows_of_seed(step, index).values()))
                assert isinstance(row, InstructionRow)
                yield Example(row.seed_id, seeds, evolver, tuple(self._turns(row, step))[::-1])

    def _common_seeds(self, steps: Sequence[Step]) -> list[int]:
        """Return the indices of the first few seeds that have rows in all these last rounds."""
        return [*islice(_common_values([self._indices(step) for step in steps]), MAX_EXAMPLES)]

    def _indices(self, step: Step) -> Iterator[int]:
        for table in self.store.tables(step.kind, step.key, columns=["index"]):
            yield from table["index"].to_pylist()

    def _turns(self, row: InstructionRow, step: Step) -> Iterator[Turn]:
        """Yield the turns from a row back to its seed, one per round."""
        yield Turn(row.round, row.method, shown_conversation(row), row.outcome, self._answers(row, step))
        if step.kind == "eliminate":
            step = step.inputs[0]
            row = self._instruction(step, row.parent_id, row.index)
        if step.kind == "pair":
            seeds = step.inputs[1]
            yield from self._turns(self._instruction(seeds, row.seed_id, row.index), seeds)
        elif step.inputs:
            source = step.inputs[0]
            yield from self._turns(self._instruction(source, row.parent_id, row.index), source)

    def _answers(self, row: InstructionRow, step: Step) -> tuple[tuple[str, str], ...]:
        answered = [pairs for pairs in self.sets if pairs.instructions is step]
        several = len({(pairs.decoding, pairs.answer_seed) for pairs in answered}) > 1
        found = ((set_key(pairs), self._answer(pairs, row)) for pairs in answered)
        return tuple(
            (f"{key.teacher} {key.shown[4]}" if several else key.teacher, answer.response)
            for key, answer in found
            if answer
        )


def _allowed_methods(method: str) -> Sequence[str]:
    """Return the closed world's methods that an evolution may use: all, if the prompt leaves the choice open."""
    if method == AUTO:
        return METHODS
    return [method] if method in METHODS else []


def _common_values(ascending: Sequence[Iterator[int]]) -> Iterator[int]:
    """Yield the values that all iterators yield, in ascending order, each once."""
    heads = [next(values, None) for values in ascending]
    while None not in heads:
        top = max(head for head in heads if head is not None)
        if all(head == top for head in heads):
            yield top
            top += 1
        heads = [
            head if head is None or head >= top else next((value for value in values if value >= top), None)
            for head, values in zip(heads, ascending, strict=True)
        ]


def _share(checked: Mapping[bool, int]) -> float | None:
    """Return the percentage of True; None if nothing was checked."""
    rows = sum(checked.values())
    return 100.0 * checked[True] / rows if rows else None
