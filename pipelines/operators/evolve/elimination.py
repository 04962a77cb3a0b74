"""Detects failed evolutions by the elimination rules of WizardLM (2304.12244, section 3.2)."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import prompts
from actors.engine import Client, GenerateRequest, Sampling
from pipelines.operators.evolve.stop_words import STOP_WORDS
from pipelines.rows.operator import Operator
from pipelines.rows.replies import ask
from pipelines.rows.types import ELIMINATED, InstructionRow
from pipelines.study.spec.instructions.evolution import Elimination
from prompts import STANDARD_CATALOG, Catalog

NO_GAIN, NO_VERDICT, HARD, DEGENERATE = "no_gain", "no_verdict", "hard_to_answer", "degenerate_answer"
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


@dataclass(frozen=True)
class Eliminate(Operator[InstructionRow, InstructionRow]):
    """Reverts failed evolutions. A row whose evolution was already eliminated passes through unchanged.

    The rules apply in this order: first those that the reply itself shows, such as leaked prompt words (checked when
    the reply is parsed); then the evolver's answer; last the judge, which costs a request. If the judge's label is
    unreadable, the evolution is reverted.
    """

    client: Client
    rules: Elimination
    catalog: Catalog = STANDARD_CATALOG

    async def __call__(self, row: InstructionRow, new_id: str) -> InstructionRow:
        row = replace(row, **row.lineage(new_id), raw="", thoughts="", tokens_in=0, tokens_out=0)
        if row.eliminated:
            return row
        if reason := failed_answer(row.answer, self.rules.sorry_words):
            return reverted_row(row, reason)
        return await self.judged_row(row)

    async def judged_row(self, row: InstructionRow) -> InstructionRow:
        """Ask the judge whether the evolution added information, and return the row, reverted if it did not."""
        prompt = self.catalog.get("equality")
        message = ("user", prompt.render(first=row.before, second=row.evolved))
        sampling = Sampling(max_tokens=self.rules.max_tokens)
        said = await ask(self.client, GenerateRequest(row.id, (message,), sampling))
        row = replace(row, raw=said.text, thoughts=said.thoughts, tokens_in=said.tokens_in, tokens_out=said.tokens_out)
        reply = prompts.parse(prompt.parser, said.text)
        if reply.value == prompts.NOT_EQUAL:
            return replace(row, outcome=reply.outcome)
        return reverted_row(row, NO_VERDICT if reply.value is None else NO_GAIN)


def reverted_row(row: InstructionRow, reason: str) -> InstructionRow:
    """Return the row with the text from before the evolution."""
    return replace(row.with_evolved(row.before), outcome=ELIMINATED + reason)


def failed_answer(answer: str, sorry_words: int) -> str | None:
    """Return the reason why an answer shows that its instruction is a failed evolution, or None if it does not.

    Rule 2: the answer contains "sorry" (in any case) and has fewer than `sorry_words` words, split at white space.
    Rule 3: the answer is empty or consists of punctuation and stop words only.
    """
    if "sorry" in answer.lower() and len(answer.split()) < sorry_words:
        return HARD
    words = _WORD.findall(answer.lower().replace("\u2019", "'"))
    return DEGENERATE if STOP_WORDS.issuperset(words) else None
