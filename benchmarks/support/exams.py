"""Measures how well a bundled model follows the prompts of Auto Evol-Instruct and AutoIF on held-out tasks."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Final

import prompts
from benchmarks.support.chat import Chat
from bundled import auto_evol_corpus as auto_corpus
from bundled import autoif_corpus, corpus
from bundled.auto_evol_corpus import FAULTS, OTHER_SENTENCES, SENTENCES
from bundled.corpus import Draw, Stage
from bundled.world.evolution import IN_DEPTH_METHODS, is_valid
from bundled.world.formats import format_checked_by, parse_format
from pipelines.operators.autoif.answer_judge import parse_score
from pipelines.operators.autoif.augment import parse_instructions
from pipelines.operators.autoif.back_translation import parse_back_translations
from pipelines.operators.autoif.test_generation import parse_generated_tests

STAGE: Final = Stage(held_out=True)
SEED: Final = 3
Grade = Callable[[str, str, str], Sequence[bool] | None]
"""Called with prompt, gold reply and reply. Returns whether each part of the reply is correct, or None if unparsed."""


@dataclass(frozen=True)
class Exam:
    """Draws prompts with gold replies, and says how replies are graded and sampled."""

    draw: Draw
    grade: Grade
    temperature: float = 0.0
    max_tokens: int = 72


@dataclass(frozen=True)
class ExamScore:
    """The share of replies that can be parsed, and the share of these that is correct, both from 0 to 1."""

    readable_share: float
    correct_share: float


def run_exam(chat: Chat, exam: Exam, count: int) -> ExamScore:
    """Ask a model `count` prompts of an exam and grade the replies."""
    rng = random.Random(SEED)
    asked = [exam.draw(rng, STAGE) for _ in range(count)]
    replies = chat.replies([prompt for prompt, _ in asked], exam.temperature, exam.max_tokens)
    grades = [exam.grade(prompt, gold, reply) for (prompt, gold), reply in zip(asked, replies, strict=True)]
    read = [grade for grade in grades if grade is not None]
    return ExamScore(len(read) / count, mean([mean(grade) for grade in read if grade]) if any(read) else 0.0)


def _same(prompt: str, gold: str, reply: str) -> Sequence[bool]:
    del prompt
    return [reply == gold]


def _label(prompt: str, gold: str, reply: str) -> Sequence[bool] | None:
    del prompt
    label = prompts.parse("equality", reply).value
    return None if label is None else [label == gold]


def _evolution(prompt: str, gold: str, reply: str) -> Sequence[bool] | None:
    del gold
    child, parent = prompts.parse("final_instruction", reply).value, prompt.rpartition("Instruction: ")[2]
    return None if child is None else [any(is_valid(parent, child, method) for method in IN_DEPTH_METHODS)]


def _failed_ids(prompt: str, gold: str, reply: str) -> Sequence[bool]:
    """Compare the reply with the gold reply case by case."""
    cases = [f"Case {number}" for number in range(1, prompt.count("Stage 0:") + 1)]
    lines = [{line.split(" fails")[0]: line for line in text.splitlines()} for text in (gold, reply)]
    return [lines[0].get(case) == lines[1].get(case) for case in cases]


def _method(prompt: str, gold: str, reply: str) -> Sequence[bool] | None:
    """Check that one sentence is added which fixes a failure from the feedback, if such a sentence exists."""
    method = prompts.parse("method", reply).value
    if method is None:
        return None
    now = [sentence for sentence in SENTENCES if sentence in prompt]
    wanted = [cure for fault in FAULTS if fault.reason in prompt for cure in fault.cures] or [*OTHER_SENTENCES]
    fresh = {*wanted} - {*now} or {*SENTENCES} - {*now}
    present = [part for part in method.split("\n\n") if part in SENTENCES]
    return [
        method == auto_corpus.method_with_sentences(present)
        and {*present} - {*now} <= fresh
        and len(present) == len(now) + 1
    ]


def _new_formats(prompt: str, gold: str, reply: str) -> Sequence[bool] | None:
    del gold
    lines = parse_instructions(reply).value
    return None if lines is None else [parse_format(line) is not None and line not in prompt for line in lines]


def _function(prompt: str, gold: str, reply: str) -> Sequence[bool] | None:
    del gold
    material, wanted = parse_generated_tests(reply).value, parse_format(prompt.rpartition("Instruction: ")[2])
    return None if material is None else [format_checked_by(material.source) == wanted]


def _cases(prompt: str, gold: str, reply: str) -> Sequence[bool] | None:
    del gold
    material, wanted = parse_generated_tests(reply).value, parse_format(prompt.rpartition("Instruction: ")[2])
    if material is None or wanted is None:
        return None
    return [wanted.holds(case.response) == case.label for case in material.cases]


def _translations(prompt: str, gold: str, reply: str) -> Sequence[bool] | None:
    sources = ["def evaluate" + part.strip() for part in _without_numbers(prompt)]
    texts = parse_back_translations(reply, len(sources)).value
    del gold
    if texts is None:
        return None
    return [parse_format(text) == format_checked_by(source) for text, source in zip(texts, sources, strict=True)]


def _without_numbers(prompt: str) -> list[str]:
    return [part.rsplit("\n\n", 1)[0] if "\n\n" in part else part for part in prompt.split("def evaluate")[1:]]


def _score(prompt: str, gold: str, reply: str) -> Sequence[bool] | None:
    """Check whether the score and the gold score agree on whether the response is good (8 or more)."""
    del prompt
    read, true = parse_score(reply, 0).value, parse_score(gold, 0).value
    return None if read is None or true is None else [(read >= 8) == (true >= 8)]


def _cured(rng: random.Random, stage: Stage) -> tuple[str, str]:
    return auto_corpus.auto_turn_with([fault.cures[0] for fault in FAULTS], rng, stage)


def _plain_method(rng: random.Random, stage: Stage) -> tuple[str, str]:
    return auto_corpus.auto_turn_with([], rng, stage)


EXAMS: Final[dict[str, Exam]] = {
    "answer": Exam(corpus.answer_turn, _same),
    "equality": Exam(auto_corpus.equality_turn, _label),
    "evol_auto, as it is": Exam(_plain_method, _evolution, max_tokens=256),
    "evol_auto, cured": Exam(_cured, _evolution, max_tokens=256),
    "evol_auto, as it is, sampled": Exam(_plain_method, _evolution, 0.7, 256),
    "answer to a faulty evolution": Exam(auto_corpus.broken_answer_turn, _same),
    "auto_evol_analyze": Exam(auto_corpus.analyze_turn, _failed_ids, 0.6, 128),
    "auto_evol_optimize": Exam(auto_corpus.optimize_turn, _method, 0.6, 400),
    "autoif_augment": Exam(autoif_corpus.augment_turn, _new_formats, 0.7, 256),
    "autoif_material: function": Exam(autoif_corpus.material_turn, _function, 0.7, 256),
    "autoif_material: cases": Exam(autoif_corpus.material_turn, _cases, 0.7, 256),
    "autoif_back_translate": Exam(autoif_corpus.back_translate_turn, _translations, 0.7, 128),
    "autoif_answer": Exam(autoif_corpus.format_answer_turn, _same, 0.7),
    "autoif_score": Exam(autoif_corpus.score_turn, _score, 0.7),
}


def exam_scores(chat: Chat, count: int, names: Sequence[str] = tuple(EXAMS)) -> dict[str, ExamScore]:
    """Return the scores of a chat model in the named exams."""
    return {name: run_exam(chat, EXAMS[name], count) for name in names}


def markdown_table(columns: dict[str, dict[str, ExamScore]]) -> str:
    """Return a Markdown table: for each model, the percentages of parsed replies and of correct ones among these."""
    head = "| prompt (% parsed, % correct of these) | " + " | ".join(columns) + " |"
    rows = [
        f"| {name} | "
        + " | ".join(f"{100 * m[name].readable_share:.0f}, {100 * m[name].correct_share:.0f}" for m in columns.values())
        + " |"
        for name in EXAMS
    ]
    return "\n".join([head, "|---|" + "---:|" * len(columns), *rows])
