"""Has a judge model rate an instruction.

2412.11231: difficulty level and score, keywords of evolution methods; 2406.00770: tags, after InsTag (2308.07074).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import prompts
from actors.engine import Client, GenerateRequest, Generation, Sampling
from pipelines.rows.operator import NOT_EVOLVED, Operator, Rejected
from pipelines.rows.replies import ask, raw_reply, read_reply
from pipelines.rows.text import with_system
from pipelines.rows.types import InstructionRow, JudgementRow
from pipelines.study.graph.steps.prompt_names import INSTRUCTION_JUDGE_PROMPTS
from pipelines.study.spec.pairs.scoring import Question
from prompts import STANDARD_CATALOG, Catalog

NO_METHODS = "no_method_list"
NOT_SAMPLED = "not_sampled"
NOT_JUDGED = (NOT_EVOLVED, NO_METHODS, NOT_SAMPLED)  # rows about which the judge is not asked


@dataclass(frozen=True)
class JudgeInstruction(Operator[InstructionRow, JudgementRow]):
    """Asks the judge about the turn that the study evolves, with greedy decoding.

    The judge does not see the row's input, as in the reference code, nor the rest of its conversation.

    A row is rejected if its seed is not in the `share` that is judged, if its evolution was reverted, if the judge's
    reply is not one of the allowed ones, or, for `keywords`, if the evolution has no list of methods to name. The judge
    names each line of that list in a separate request, and `outcomes` marks the unreadable names. If all are
    unreadable, the rejection has all replies as JSON.

    The score of an instruction that is tagged is its number of tags.
    """

    client: Client
    metric: Question
    max_tokens: int
    system: str = ""
    share: float = 1.0
    catalog: Catalog = STANDARD_CATALOG

    async def __call__(self, row: InstructionRow, new_id: str) -> JudgementRow:
        if row.eliminated:
            raise Rejected(NOT_EVOLVED, row.outcome)
        if not is_sampled(row.seed_id, self.share):
            raise Rejected(NOT_SAMPLED)
        prompts_to_ask = self.build_prompts(row)
        if not prompts_to_ask:
            raise Rejected(NO_METHODS, "the reply lists no methods before its plan", row.raw)
        said = await asyncio.gather(*(self.ask_judge(f"{new_id}-{i}", text) for i, text in enumerate(prompts_to_ask)))
        raw, replies = [raw_reply(one) for one in said], [self.read(one) for one in said]
        values = [reply.value for reply in replies if reply.value is not None]
        if not values:
            replies_as_json = [
                {"outcome": reply.outcome, "reply": text} for reply, text in zip(replies, raw, strict=True)
            ]
            unread = json.dumps(replies_as_json, ensure_ascii=False) if self.metric == "keywords" else raw[0]
            raise Rejected(replies[0].reason, "", unread)
        return JudgementRow(
            **row.lineage(new_id),
            metric=self.metric,
            labels=self.labels(values),
            scores=self.scores(values),
            raw=raw,
            outcomes=[reply.outcome for reply in replies],
            thoughts=[one.thoughts for one in said],
        )

    def labels(self, values: Sequence[str]) -> list[str]:
        """Return the different labels in the judge's replies."""
        if self.metric == "difficulty_score":
            return []
        return list(dict.fromkeys(values[0].splitlines() if self.metric == "tags" else values))

    def scores(self, values: Sequence[str]) -> list[float]:
        """Return the score in the judge's reply, or the number of tags."""
        if self.metric == "tags":
            return [float(len(self.labels(values)))]
        return [float(value) for value in values] if self.metric == "difficulty_score" else []

    def build_prompts(self, row: InstructionRow) -> list[str]:
        """Return the prompts for the judge; there are none for an evolution without a list of methods."""
        prompt = self.catalog.get(INSTRUCTION_JUDGE_PROMPTS[self.metric])
        if self.metric == "keywords":
            return [prompt.render(line=line) for line in prompts.method_lines(row.raw)]
        return [prompt.render(instruction=row.evolved)]

    def read(self, said: Generation) -> prompts.Reply:
        """Return the judge's label or score. The parser of a plug-in may return anything, so a score is checked."""
        reply = read_reply(self.catalog.get(INSTRUCTION_JUDGE_PROMPTS[self.metric]).parser, said)
        if reply.value is None or self.metric != "difficulty_score" or _is_number(reply.value):
            return reply
        return prompts.Reply(None, "rejected:not_a_number")

    async def ask_judge(self, request_id: str, text: str) -> Generation:
        """Return the judge's reply."""
        sampling, messages = Sampling(max_tokens=self.max_tokens), with_system((("user", text),), self.system)
        return await ask(self.client, GenerateRequest(request_id, messages, sampling))


def is_sampled(seed_id: str, share: float) -> bool:
    """Return whether a seed is among the `share` of all seeds whose instructions are judged."""
    digest = hashlib.sha256(f"judging {seed_id}".encode()).digest()
    return int.from_bytes(digest[:8]) < share * 2**64


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
