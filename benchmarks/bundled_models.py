"""Measure the skills and scores of the bundled models on held-out tasks: `python -m benchmarks.bundled_models`."""

import argparse
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Final

import torch

import bundled
import prompts
from benchmarks.support import exams, scores
from benchmarks.support.chat import Chat
from bundled import classifiers
from bundled.world import METHODS, WorldTask, correct, evolve, heldout, is_valid_evolution

LEVELS: Final = (0, 1, 2, 3)
EVOLVED_LEVELS: Final = (0, 1, 2)
SEED: Final = 1
Scores = dict[str, float]


@dataclass(frozen=True)
class Skills:
    """Shares of correct replies, from 0 to 1. The keys are the names in the printed table."""

    student: Scores
    teacher: Scores
    evolution: Scores
    difficulty: float


def measure(chat: Chat, count: int) -> Skills:
    """Measure a model's skills on `count` held-out tasks per level and per method."""
    torch.manual_seed(SEED)
    tasks = heldout(count * len(LEVELS), SEED, LEVELS)
    template = prompts.get("answer")
    return Skills(
        student=_measure_answers(chat, tasks, lambda instruction: instruction),
        teacher=_measure_answers(chat, tasks, lambda instruction: template.render(instruction=instruction)),
        evolution=measure_evolution(chat, count),
        difficulty=_rating(chat, count),
    )


def _measure_answers(chat: Chat, tasks: Sequence[WorldTask], ask: Callable[[str], str]) -> Scores:
    replies = chat.replies([ask(task.instruction) for task in tasks])
    right = [(task, correct(task.instruction, reply)) for task, reply in zip(tasks, replies, strict=True)]
    by_level = {f"level {level}": mean(ok for task, ok in right if task.level == level) for level in LEVELS}
    kinds = sorted({task.kind for task in tasks})
    plain = {f"{kind}, level 0": [ok for task, ok in right if task.kind == kind and task.level == 0] for kind in kinds}
    return by_level | {name: mean(oks) for name, oks in plain.items() if oks}


def measure_evolution(chat: Chat, count: int, levels: Sequence[int] = EVOLVED_LEVELS) -> Scores:
    """Return the shares of valid evolutions, sampled at temperature 0.7, by method and level of the instruction."""
    scores: Scores = {}
    for level in levels:
        parents = [task.instruction for task in heldout(count, SEED + 1, (level,))]
        scores |= {f"{method}, from level {level}": _valid_share(chat, parents, method) for method in METHODS}
    return scores


def _valid_share(chat: Chat, parents: Sequence[str], method: str) -> float:
    """Return the share of valid evolutions among the instructions to which the method is applicable."""
    template = prompts.get(f"evol_{method}")
    open_to_it = [parent for parent in parents if _applicable(parent, method)]
    children = chat.replies([template.render(instruction=parent) for parent in open_to_it], temperature=0.7)
    return mean(is_valid_evolution(parent, child, method) for parent, child in zip(open_to_it, children, strict=True))


def _applicable(parent: str, method: str) -> bool:
    return evolve(parent, method, random.Random(0)) is not None


def _rating(chat: Chat, count: int) -> float:
    labels = prompts.DIFFICULTY_LABELS
    tasks = heldout(count, SEED + 2, tuple(range(len(labels))))
    replies = chat.replies([prompts.get("difficulty").render(instruction=task.instruction) for task in tasks])
    return mean(labels[task.level] == reply for task, reply in zip(tasks, replies, strict=True))


def markdown_table(skills: dict[str, Skills]) -> str:
    """Return a Markdown table of percentages with one column per model."""
    rows: dict[str, list[str]] = {}
    for measured in skills.values():
        for name, share in _flat(measured):
            rows.setdefault(name, []).append(f"{100 * share:.0f}")
    head = ["| skill (%) | " + " | ".join(skills) + " |", "|---|" + "---:|" * len(skills)]
    return "\n".join([*head, *(f"| {name} | " + " | ".join(cells) + " |" for name, cells in rows.items())])


def _flat(skills: Skills) -> Iterable[tuple[str, float]]:
    for part, shares in (
        ("answer, plain", skills.student),
        ("answer, template", skills.teacher),
        ("evolve", skills.evolution),
    ):
        yield from ((f"{part}: {name}", share) for name, share in shares.items())
    yield "difficulty label", skills.difficulty


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--models", nargs="*", default=list(bundled.names()), help="names of bundled models, or folders"
    )
    parser.add_argument("--count", type=int, default=200, help="held-out tasks per level, method and prompt")
    options = parser.parse_args()
    folders = [Path(name) if Path(name).is_dir() else bundled.path(name) for name in options.models]
    chats = {folder.name: Chat(folder) for folder in folders if not _classifier_suffix(folder)}
    if chats:
        print(markdown_table({name: measure(chat, options.count) for name, chat in chats.items()}), end="\n\n")
    if methods := {name: chat for name, chat in chats.items() if name.endswith("-methods")}:
        print(
            exams.markdown_table({name: exams.exam_scores(chat, options.count) for name, chat in methods.items()}),
            end="\n\n",
        )
    for folder in folders:
        if folder.name.endswith("-base"):
            print(f"{folder.name}\n\n{scores.markdown_table(scores.score_levels(folder, options.count))}\n")
        if head := _classifier_suffix(folder):
            shares = classifiers.ACCURACIES[head](classifiers.load(folder), options.count)
            print("\n".join(f"| {folder.name}: {name} | {100 * share:.0f} |" for name, share in shares.items()))


def _classifier_suffix(folder: Path) -> str:
    """Return the last part of the name of a classifier's folder, or "" for a language model."""
    head = folder.name.rsplit("-", 1)[-1]
    return head if head in classifiers.ACCURACIES else ""


if __name__ == "__main__":
    main()
