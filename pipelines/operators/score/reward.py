"""A reward model's reward of an answer to an instruction."""

from __future__ import annotations

import math
from dataclasses import dataclass

from actors.engine import Classification, ClassifyRequest, Client
from pipelines.errors import InputError
from pipelines.rows.operator import Operator, Rejected
from pipelines.rows.text import Message, conversation
from pipelines.rows.types import ResponseRow, RewardRow


@dataclass(frozen=True)
class Reward(Operator[ResponseRow, RewardRow]):
    """Computes the reward of an answer after its whole conversation, in the reward model's chat template.

    A pair is rejected if its reward is not a finite number.
    """

    client: Client

    async def __call__(self, row: ResponseRow, new_id: str) -> RewardRow:
        reward, tokens = await compute_reward(self.client, new_id, conversation(row, row.response))
        return RewardRow(**row.lineage(new_id), reward=reward, tokens=tokens)


async def compute_reward(client: Client, request_id: str, messages: tuple[Message, ...]) -> tuple[float, int]:
    """Return the reward of the answer that ends a conversation, and the number of tokens of the conversation.

    Raises:
        Rejected: The reward is not a finite number (reason `not_finite`).
        RequestError: The model rejects the request.
        InputError: The model has several logits and the study names none of them as the reward.
    """
    got = await client.classify(ClassifyRequest(request_id, messages=messages))
    reward = _single_reward(got)
    if not math.isfinite(reward):
        raise Rejected("not_finite", f"the reward is {reward}")
    return reward, got.tokens_in


def _single_reward(got: Classification) -> float:
    if got.reward is None:
        labels = ", ".join(f"{number} {label}" for number, label in enumerate(got.labels))
        remedy = "Name the one that is the reward: 'options: {reward_index: 0}' under the model."
        raise InputError(f"ambiguous reward model with {len(got.labels)} logits ({labels})", remedy=remedy)
    return got.reward
