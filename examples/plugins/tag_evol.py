"""Evolution by tags, an idea of Tag-Evol ("Achieving Efficient Instruction Evolving via Tag Injection", 2025).

Instead of a fixed strategy, each rewrite gets tags: short names of skills or topics to work into the instruction. More
tags make a harder instruction. This version is simplified and has a prompt of its own: the study gives the pool of tags
instead of collecting it from data. Tags are drawn by the seed's id and the round, so all evolvers get the same ones.
"""

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

from pydantic import Field

from actors.engine import Client, GenerateRequest
from pipelines.errors import InputError
from pipelines.operators.evolve.evol_instruct import read_evolution
from pipelines.operators.registry import OperatorInputs
from pipelines.planning.workload import TOKENS_PER_PROMPT, InputSize, StepWorkload
from pipelines.plugins import Method, PromptText, Setting, StepKind, setting
from pipelines.rows.ids import request_seed
from pipelines.rows.operator import Operator, Rejected
from pipelines.rows.types import InstructionRow
from pipelines.study.graph.builders.methods import EvolutionInputs, EvolvedRound
from pipelines.study.graph.builders.step_builder import StepBuilder
from pipelines.study.graph.steps.step import StepParams
from pipelines.study.spec.common.basics import SamplingSpec, StrictModel
from prompts import Catalog

PROMPT = PromptText(
    "evol_tags",
    """---
variables: instruction, tags
parser: instruction
---
Rewrite the instruction below so that whoever answers it also needs the following: {tags}. Work them into the task
itself: do not list or name them. Keep what the instruction asks for, and keep it answerable. Return only the new
instruction.

Instruction: {instruction}
""",
)


class Tags(StrictModel):
    """The tags of a study."""

    pool: list[str] = Field(min_length=1, description="names of skills and topics")
    per_round: int = Field(default=2, gt=0, description="number of tags that a rewrite gets in each round")


KEY = Setting("tags", type=Tags, about="tag-evol: the tags to draw from", block="evolution", method="tag-evol")


@dataclass(frozen=True, slots=True)
class TagEvolveParams(StepParams):
    """Rewrite every instruction with some tags."""

    kind = "tag-evolve"
    code_version = 1
    row_wise = True
    role = "evolver"

    round: int
    pool: tuple[str, ...]
    per_round: int
    sampling: SamplingSpec

    def tags_of(self, row: InstructionRow, study_seed: int) -> list[str]:
        """Return the tags of a row's seed in this round."""
        seed = hashlib.sha256(f"{study_seed} {row.seed_id} {self.round}".encode()).hexdigest()
        return random.Random(seed).sample(self.pool, min(self.per_round, len(self.pool)))


@dataclass(frozen=True)
class TagEvolve(Operator[InstructionRow, InstructionRow]):
    """Asks for a rewrite with the row's tags; one that cannot be read or changes nothing is rejected."""

    client: Client
    params: TagEvolveParams
    study_seed: int
    catalog: Catalog  # the study's prompts

    async def __call__(self, row: InstructionRow, new_id: str) -> InstructionRow:
        template, tags = self.catalog.get("evol_tags"), self.params.tags_of(row, self.study_seed)
        text = template.render(instruction=row.instruction, tags=", ".join(tags))
        seed = request_seed(new_id) ^ self.study_seed
        request = GenerateRequest(new_id, (("user", text),), self.params.sampling.sampling, seed)
        said = await self.client.generate(request)
        reply = read_evolution(said, template.parser, row.instruction, growth=None)
        if reply.value is None:
            raise Rejected(reply.reason, "", said.text)
        return replace(
            row,
            **row.lineage(new_id),
            round=self.params.round,
            method=" + ".join(tags),
            instruction=reply.value,
            reference="",
            raw=said.text,
            outcome=reply.outcome,
            tokens_in=said.tokens_in,
            tokens_out=said.tokens_out,
            before=row.instruction,
        )


def add_rounds(builder: StepBuilder, inputs: EvolutionInputs) -> Iterator[EvolvedRound]:
    """Each round rewrites the instructions of the round before with other tags."""
    tags = setting(inputs.evolution, "tags", Tags)
    if tags is None:
        raise InputError("the method 'tag-evol' needs the key 'tags', with a 'pool'")
    step = inputs.start
    for number in range(1, inputs.evolution.rounds + 1):
        sampling = inputs.evolution.sampling
        params = TagEvolveParams(inputs.evolver, number, tuple(tags.pool), tags.per_round, sampling)
        step = builder.add_step(params, f"{inputs.subject} r{number}", step, prompts=["evol_tags"])
        yield EvolvedRound(step)


def make_operator(params: TagEvolveParams, inputs: OperatorInputs) -> TagEvolve:
    """Return what the step does with a row."""
    return TagEvolve(inputs.client, params, inputs.seed, inputs.step.catalog)


def estimate(params: TagEvolveParams, size: InputSize) -> StepWorkload:
    """One request for each row, with a reply of the instruction's length."""
    rows, tokens = size.rows, size.instruction_tokens
    return StepWorkload("generate", params.model, rows, rows, rows * (TOKENS_PER_PROMPT + tokens), rows * tokens)


STEP = StepKind(TagEvolveParams, InstructionRow, make_operator, estimate)
METHOD = Method("tag-evol", add_rounds, keys=("tags",))
