"""Collects the report's facts on rewards: by set, margins between sets of equal instructions, CAR, flagged answers."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

import numpy as np

from pipelines.operators.select.car import cars
from pipelines.operators.select.measurements import reported
from pipelines.results.report.data.rewards import AnswerFlags, SetCar, SetReward
from pipelines.results.report.data.set_key import set_key
from pipelines.rows.operator import EMPTY
from pipelines.store.store import Store
from pipelines.study.graph.steps.grid import Grid, InstructionDataset
from pipelines.study.graph.steps.step import Step
from pipelines.study.spec.pairs.scoring import Car

RewardedSet = tuple[InstructionDataset, str, Mapping[str, float]]
"""A data set, a reward model, and the rewards by answer id."""


class PairedMeans(NamedTuple):
    """A data set, the number of its rows that have a reward and a loss, and the means over these rows."""

    pairs: InstructionDataset
    rows: int
    reward: float
    loss: float


ANSWER_KINDS = ("respond", "choose", "given")


class Rewards:
    """Reads the rewards and flags of a grid's data sets whose steps are finished."""

    def __init__(self, store: Store, grid: Grid, done: frozenset[str]) -> None:
        self.store, self.done = store, done
        self.sets = [pairs for pairs in grid.sets if pairs.responses.key in done]
        self.rewarded_sets: list[RewardedSet] = [
            (pairs, model, self._column(step, "reward"))
            for pairs in self.sets
            for model, step in pairs.rewards
            if step.key in done
        ]

    def rewards(self) -> Iterator[SetReward]:
        """Yield one entry per data set and reward model."""
        groups: dict[tuple[str, str], list[RewardedSet]] = defaultdict(list)
        for judged in self.rewarded_sets:
            groups[judged[0].instructions.key, judged[1]].append(judged)
        for group in groups.values():
            asked = [self._by_instruction(pairs, found) for pairs, _, found in group]
            best = max(asked, key=lambda means: fmean(means.values()) if means else -np.inf)
            for judged, means in zip(group, asked, strict=True):
                yield self._reward(judged, [means[row] - best[row] for row in means.keys() & best.keys()])

    def cars(self, spec: Car) -> list[SetCar]:
        """Return one entry per data set, reward model and scorer, for the data sets that also have scores."""
        groups: dict[tuple[str, str], list[PairedMeans]] = defaultdict(list)
        for pairs, model, rewards in self.rewarded_sets:
            for scored in pairs.score_steps:
                if scored.step.key in self.done and (means := self._means(pairs, scored.step, rewards)):
                    scorer = reported("", pairs, scored).column
                    groups[model, scorer].append(means)
        return [car for (model, scorer), group in groups.items() for car in _cars(group, model, scorer, spec)]

    def flags(self) -> Iterator[AnswerFlags]:
        """Yield one entry per teacher and decoding variant."""
        found: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        steps = {
            (pairs.teacher, pairs.decoding, step.key): step for pairs in self.sets if (step := _answer_step(pairs))
        }
        for (teacher, decoding, _), step in steps.items():
            found[teacher, decoding].update(self._flags(step))
        for (teacher, decoding), counts in found.items():
            yield AnswerFlags(teacher, decoding, *(counts[name] for name in ("asked", "truncated", "empty", "refused")))

    def _reward(self, rewarded: RewardedSet, margins: Sequence[float]) -> SetReward:
        pairs, model, found = rewarded
        rewards = [*found.values()]
        answers = self.store.manifest(pairs.responses.kind, pairs.responses.key).account.rows_out
        low, median, high = map(float, np.quantile(rewards, (0.25, 0.5, 0.75))) if rewards else (None, None, None)
        return SetReward(
            set_key(pairs),
            model=model,
            rows=len(rewards),
            skipped=answers - len(rewards),
            mean=fmean(rewards) if rewards else None,
            low=low,
            median=median,
            high=high,
            margin=fmean(margins) if margins else None,
            shared=len(margins),
        )

    def _means(self, pairs: InstructionDataset, scores: Step, rewards: Mapping[str, float]) -> PairedMeans | None:
        """Return the means over the rows with a reward and a loss; None without such rows."""
        losses = self._column(scores, "loss_conditional")
        both = rewards.keys() & losses.keys()
        if not both:
            return None
        return PairedMeans(pairs, len(both), fmean(rewards[row] for row in both), fmean(losses[row] for row in both))

    def _by_instruction(self, pairs: InstructionDataset, found: Mapping[str, float]) -> dict[str, float]:
        """Return the mean reward of the answers to each instruction."""
        values = {row: [value] for row, value in found.items()}
        step = pairs.responses
        while step.key != pairs.instructions.key:
            above: dict[str, list[float]] = defaultdict(list)
            for row in self.store.rows(step.kind, step.key, columns=["id", "parent_id"]).to_pylist():
                above[row["parent_id"]] += values.get(row["id"], [])
            values, step = above, step.inputs[0]
        return {row: fmean(rewards) for row, rewards in values.items() if rewards}

    def _flags(self, step: Step) -> Counter[str]:
        rows = self.store.rows(step.kind, step.key, columns=["finish_reason", "refused"]).to_pylist()
        lost = self.store.rows(step.kind, step.key, "rejected", columns=["reason"]).column("reason").to_pylist()
        empty = lost.count(EMPTY)
        truncated = sum(row["finish_reason"] == "length" for row in rows)
        refused = sum(row["refused"] for row in rows)
        return Counter(asked=len(rows) + empty, truncated=truncated, empty=empty, refused=refused)

    def _column(self, step: Step, name: str) -> dict[str, float]:
        """Return a numeric column by answer id."""
        rows = self.store.rows(step.kind, step.key, columns=["parent_id", name]).to_pylist()
        return {row["parent_id"]: row[name] for row in rows}


def _cars(group: Sequence[PairedMeans], model: str, scorer: str, spec: Car) -> Iterator[SetCar]:
    """Yield CAR of the data sets that are compared, by the rewards of one model and the losses of one scorer."""
    points = [(each.reward, each.loss) for each in group]
    by_beta = [(beta, cars(points, beta, spec.mode)) for beta in spec.betas]
    for place, (pairs, rows, reward, loss) in enumerate(group):
        values = tuple((beta, values[place]) for beta, values in by_beta)
        yield SetCar(set_key(pairs), model, spec.mode, rows, reward, loss, values, scorer)


def _answer_step(pairs: InstructionDataset) -> Step | None:
    """Return the step that generated or chose the answers, before any check of them."""
    step = pairs.responses
    while step.kind not in ANSWER_KINDS and step.inputs:
        step = step.inputs[0]
    return step if step.kind in ANSWER_KINDS else None
