"""CAR: the mean reward of a data set, divided by a term that grows with the base model's loss (2411.07133).

The published formula is CAR(D) = r(D) / (1 + beta * L(D)), with r(D) the mean reward and L(D) the mean loss. The paper
gives neither beta nor whether rewards were normalised, so both are parameters here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from pipelines.study.spec.pairs.scoring import RewardMode

NEGATIVE_REWARDS_WARNING = (
    "{count} of {all} rewards are negative, and CAR then rises with the loss instead of falling: use the mode "
    "'sigmoid', or 'shift', which subtracts the lowest reward of the compared data"
)


def car(reward: float, loss: float, beta: float, mode: RewardMode = "raw", min_reward: float = 0.0) -> float:
    """Return CAR for one mean reward and one mean loss in nats per token; higher is better.

    `raw` applies the formula to the reward itself. `shift` subtracts `min_reward`, the lowest reward of all compared
    data, first. `sigmoid` maps the reward to (0, 1) first.

    Raises:
        ValueError: `beta` or `loss` is negative.
    """
    if beta < 0 or loss < 0:
        raise ValueError(f"beta {beta:g} and loss {loss:g} must not be negative")
    return _adjusted_reward(reward, mode, min_reward) / (1 + beta * loss)


def cars(points: Sequence[tuple[float, float]], beta: float, mode: RewardMode = "raw") -> list[float]:
    """Return CAR for each (reward, loss) of a set of points that are compared with each other."""
    min_reward = min((reward for reward, _ in points), default=0.0)
    return [car(reward, loss, beta, mode, min_reward) for reward, loss in points]


def selection_warning(rewards: Iterable[float], mode: RewardMode) -> str:
    """Return a warning if rewards are negative and the mode does not adjust for it; otherwise an empty string."""
    known = [*rewards]
    negative = sum(reward < 0 for reward in known)
    return NEGATIVE_REWARDS_WARNING.format(count=negative, all=len(known)) if negative and mode == "raw" else ""


def _adjusted_reward(reward: float, mode: RewardMode, min_reward: float) -> float:
    if mode == "shift":
        return reward - min_reward
    # a separate formula for each sign, so that no exponential overflows
    if mode == "sigmoid":
        return 1 / (1 + math.exp(-reward)) if reward >= 0 else math.exp(reward) / (1 + math.exp(reward))
    return reward
