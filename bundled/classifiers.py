"""Data, losses and tests of the classifiers: relations of two formats (NLI), and which of two answers is better."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import LlamaForSequenceClassification

from bundled import tokenizer
from bundled.autoif_corpus import change_format, wrong_answer
from bundled.corpus import Encoder
from bundled.family import RowEncoder
from bundled.training import Losses
from bundled.world.formats import Relation, draw_format
from bundled.world.generate import draw_task, is_held_out
from bundled.world.tasks import Task

RELATIONS: Final[tuple[Relation, ...]] = ("entailment", "neutral", "contradiction")
REWARDED_LEVELS: Final = (0.4, 0.25, 0.2, 0.15)


@dataclass(frozen=True)
class Pair:
    """A premise and a hypothesis, both formats in English, and their relation."""

    premise: str
    hypothesis: str
    relation: Relation


@dataclass(frozen=True)
class Preference:
    """An instruction with its right answer and a worse one."""

    instruction: str
    chosen: str
    rejected: str


def draw_pair(rng: random.Random, held_out: bool = False) -> Pair:
    """Draw a pair from one side of the held-out split; the relations are about equally frequent."""
    relation = rng.choice(RELATIONS)
    while True:
        wanted = draw_format(rng)
        other = rng.choice((wanted, change_format(wanted, rng), draw_format(rng), *wanted.weaker()[:1]))
        premise, hypothesis = wanted.render(rng), other.render(rng)
        if wanted.relation(other) == relation and is_held_out((premise, hypothesis)) == held_out:
            return Pair(premise, hypothesis, relation)


def draw_preference(rng: random.Random, level: int | None = None, held_out: bool = False) -> Preference:
    """Draw a task of the level (levels 0 to 3 if None), with its gold answer and a worse one."""
    drawn = rng.choices(range(len(REWARDED_LEVELS)), REWARDED_LEVELS)[0] if level is None else level
    task = draw_task(rng, drawn, held_out)
    return Preference(task.render(rng), task.answer(), _worse(task, rng))


def _worse(task: Task, rng: random.Random) -> str:
    """Return an answer that ignores a constraint, or a wrong one."""
    kept = [task.constraints[:place] + task.constraints[place + 1 :] for place in range(task.level)]
    simpler = [Task(task.kind, task.arguments, constraints) for constraints in kept]
    ignoring = [one.answer() for one in simpler if one.is_sound() and one.answer() != task.answer()]
    return rng.choice(ignoring) if ignoring and rng.random() < 0.5 else wrong_answer(task, rng)


def new_classifier(folder: Path, labels: Sequence[str]) -> LlamaForSequenceClassification:
    """Return the model in `folder` with a new head of one logit per label, in float32."""
    names = dict(enumerate(labels))
    return LlamaForSequenceClassification.from_pretrained(
        folder, dtype=torch.float32, id2label=names, label2id={name: number for number, name in names.items()}
    )


def load(folder: Path) -> LlamaForSequenceClassification:
    """Return the classifier in a folder, in float32."""
    return LlamaForSequenceClassification.from_pretrained(folder, dtype=torch.float32)


def pair_ids(encoder: Encoder, pair: Pair) -> list[int]:
    """Return the ids of a pair as the tokenizer builds it: begin of text, premise, hypothesis."""
    return [encoder.control("bos"), *encoder.text(pair.premise), *encoder.text(pair.hypothesis)]


def chat_ids(encoder: Encoder, instruction: str, answer: str) -> list[int]:
    """Return the ids of a conversation of one turn as the chat template builds it."""
    control = encoder.control
    before = [control("bos"), control("user"), *encoder.text(instruction), control("end")]
    return [*before, control("assistant"), *encoder.text(answer), control("end")]


def logits(model: LlamaForSequenceClassification, rows: Sequence[list[int]], pad: int) -> Tensor:
    """Return the logits of rows of ids, [rows, labels]."""
    width = max(map(len, rows))
    ids = torch.tensor([row + [pad] * (width - len(row)) for row in rows], device=model.device)  # [rows, width]
    return model(input_ids=ids, attention_mask=(ids != pad).long(), use_cache=False).logits


def relation_losses(model: LlamaForSequenceClassification, encoder: Encoder, rows: int, rng: random.Random) -> Losses:
    """Return the losses of a step: the cross-entropy of the relation."""

    def losses(step: int) -> Iterator[tuple[Tensor, int]]:
        del step
        pairs = [draw_pair(rng) for _ in range(rows)]
        ids = [pair_ids(encoder, pair) for pair in pairs]
        labels = torch.tensor([RELATIONS.index(pair.relation) for pair in pairs], device=model.device)
        yield F.cross_entropy(logits(model, ids, encoder.control("pad")), labels), sum(map(len, ids))

    return losses


def reward_losses(model: LlamaForSequenceClassification, encoder: Encoder, rows: int, rng: random.Random) -> Losses:
    """Return the losses of a step (Bradley-Terry): minus the log-probability that the right answer is preferred."""

    def losses(step: int) -> Iterator[tuple[Tensor, int]]:
        del step
        drawn = [draw_preference(rng) for _ in range(rows)]
        chosen = [chat_ids(encoder, one.instruction, one.chosen) for one in drawn]
        rejected = [chat_ids(encoder, one.instruction, one.rejected) for one in drawn]
        better, worse = logits(model, [*chosen, *rejected], encoder.control("pad")).squeeze(-1).chunk(2)
        yield -F.logsigmoid(better - worse).mean(), sum(map(len, [*chosen, *rejected]))

    return losses


@torch.no_grad()
def relation_accuracy(model: LlamaForSequenceClassification, count: int, seed: int = 1) -> dict[str, float]:
    """Return the share of held-out pairs that are classified correctly, by relation."""
    encoder, rng = RowEncoder(tokenizer.build()), random.Random(seed)
    pairs = [draw_pair(rng, held_out=True) for _ in range(3 * count)]
    said = logits(model.eval(), [pair_ids(encoder, pair) for pair in pairs], encoder.control("pad")).argmax(-1).tolist()
    right = [(pair.relation, RELATIONS[label] == pair.relation) for pair, label in zip(pairs, said, strict=True)]
    return {name: mean(ok for relation, ok in right if relation == name) for name in RELATIONS}


@torch.no_grad()
def reward_accuracy(model: LlamaForSequenceClassification, count: int, seed: int = 1) -> dict[str, float]:
    """Return the share of held-out tasks, by level, whose gold answer has a higher reward than a worse one."""
    encoder, rng = RowEncoder(tokenizer.build()), random.Random(seed)
    shares: dict[str, float] = {}
    for level in range(len(REWARDED_LEVELS)):
        drawn = [draw_preference(rng, level, held_out=True) for _ in range(count)]
        both = [chat_ids(encoder, one.instruction, text) for one in drawn for text in (one.chosen, one.rejected)]
        rewards = logits(model.eval(), both, encoder.control("pad")).view(-1, 2)  # [tasks, 2]
        shares[f"level {level}"] = (rewards[:, 0] > rewards[:, 1]).float().mean().item()
    return shares


LOSSES: Final[dict[str, Callable[..., Losses]]] = {"nli": relation_losses, "reward": reward_losses}
LABELS: Final[dict[str, tuple[str, ...]]] = {"nli": RELATIONS, "reward": ("reward",)}
ACCURACIES: Final[dict[str, Callable[..., dict[str, float]]]] = {"nli": relation_accuracy, "reward": reward_accuracy}
