"""Generates a teacher's answer to one instruction, with 2412.11231's prompts for rows with and without input."""

from __future__ import annotations

from dataclasses import dataclass

from actors.engine import Client, GenerateRequest, Generation, Sampling
from pipelines.rows.ids import request_seed
from pipelines.rows.operator import NOT_EVOLVED, Operator, Rejected
from pipelines.rows.replies import ask, raw_reply, read_reply
from pipelines.rows.text import context, with_system
from pipelines.rows.types import InstructionRow, PairedRow, ResponseRow
from pipelines.study.graph.steps.prompt_names import CONSTRAINED_ANSWER_PROMPT
from prompts import STANDARD_CATALOG, Catalog, Prompt
from prompts.refusals import is_refusal


@dataclass(frozen=True)
class Respond(Operator[InstructionRow, ResponseRow]):
    """Answers an instruction. Truncated answers and refusals are kept and marked; empty answers are rejected."""

    client: Client
    sampling: Sampling
    answer_seed: int
    system: str = ""
    catalog: Catalog = STANDARD_CATALOG

    async def __call__(self, row: InstructionRow, new_id: str) -> ResponseRow:
        reject_unevolved(row)
        said = await generate_answer(
            self.client, self.sampling, self.answer_seed, row, new_id, self.system, self.catalog
        )
        reply = read_reply(row_template(row, self.catalog).parser, said)
        if reply.value is None:
            raise Rejected(reply.reason, "", raw_reply(said))
        return ResponseRow(
            **row.lineage(new_id),
            instruction=row.instruction,
            input=row.input,
            response=reply.value,
            finish_reason=said.finish_reason,
            tokens_in=said.tokens_in,
            tokens_out=said.tokens_out,
            refused=is_refusal(reply.value),
            system=row.system,
            history=row.history,
            thoughts=said.thoughts,
        )


def reject_unevolved(row: InstructionRow) -> None:
    """Reject a row whose evolution was reverted: the same instruction was already answered in an earlier round.

    Raises:
        Rejected: The row's evolution was reverted.
    """
    if row.eliminated:
        raise Rejected(NOT_EVOLVED, row.outcome)


async def generate_answer(
    client: Client,
    sampling: Sampling,
    answer_seed: int,
    row: InstructionRow,
    request_id: str,
    system: str = "",
    catalog: Catalog = STANDARD_CATALOG,
) -> Generation:
    """Return a teacher's unparsed answer to the whole conversation.

    It is sampled with a seed derived from `request_id` (hex digits).
    """
    messages = (*with_system(context(row), system), ("user", row_prompt(row, catalog)))
    seed = request_seed(request_id) ^ answer_seed
    return await ask(client, GenerateRequest(request_id, messages, sampling, seed))


def row_template(row: InstructionRow, catalog: Catalog) -> Prompt:
    """Return the template of the teacher's prompt for a row. A query with an AutoIF constraint has a separate one."""
    plain = "answer_with_input" if row.input else "answer"
    return catalog.get(CONSTRAINED_ANSWER_PROMPT if isinstance(row, PairedRow) else plain)


def row_prompt(row: InstructionRow, catalog: Catalog) -> str:
    """Return the teacher's prompt for a row."""
    if isinstance(row, PairedRow):
        return row_template(row, catalog).render(instruction=row.constraint, query=row.before)
    return answer_prompt(row.instruction, row.input, catalog)


def answer_prompt(instruction: str, extra: str, catalog: Catalog = STANDARD_CATALOG) -> str:
    """Return the prompt for an instruction and, unless `extra` is empty, its input."""
    if extra:
        return catalog.get("answer_with_input").render(instruction=instruction, input=extra)
    return catalog.get("answer").render(instruction=instruction)
