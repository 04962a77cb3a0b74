"""Training conversations of AutoIF: formats, functions that check them, back-translations, answers, scores.

Some functions, cases and back-translations are wrong on purpose, so that the checks have something to reject.
Every `*_turn` function returns a prompt and its reply.
"""

import json
import random
from typing import Final

import prompts
from bundled.corpus import Stage
from bundled.world.formats import FORMATS, KINDS, Format, draw_format
from bundled.world.generate import draw_task
from bundled.world.lexicon import WORDS
from bundled.world.tasks import Task

NEW_FORMATS: Final = 10
LONG_ANSWER_WORDS: Final = 12
WEAK_SHARE: Final = 0.12
WRONG_SHARE: Final = 0.08
WRONG_CASES: Final = 0.15
WRONG_TRANSLATIONS: Final = 0.1
VERDICTS: Final = {
    (True, True): ("The answer is right and has the form.", 10),
    (True, False): ("The answer is right without the form.", 5),
    (False, True): ("The answer is not right.", 3),
    (False, False): ("The answer is not right.", 1),
}


def augment_turn(rng: random.Random, stage: Stage) -> tuple[str, str]:
    """Return a prompt with examples of formats, and new formats."""
    del stage
    examples = rng.choice((8, 10, 12, 12))
    formats = [draw_format(rng) for _ in range(examples + NEW_FORMATS)]
    lines = list(dict.fromkeys(f"- {one.render(rng)}" for one in formats))
    return prompts.get("autoif_augment").render(seeds="\n".join(lines[:examples])), "\n".join(lines[examples:])


def material_turn(rng: random.Random, stage: Stage) -> tuple[str, str]:
    """Return a prompt with a format, and a function with three cases that check it."""
    del stage
    wanted = draw_format(rng)
    checked = rng.choices(
        (wanted, rng.choice(wanted.weaker() or (wanted,)), change_format(wanted, rng)),
        (1 - WEAK_SHARE - WRONG_SHARE, WEAK_SHARE, WRONG_SHARE),
    )[0]
    labels = [True, False, True]
    cases = [{"input": " " + _text(wanted, label, rng), "output": label} for label in labels]
    if rng.random() < WRONG_CASES:
        case = rng.choice(cases)
        case["output"] = not case["output"]
    written = json.dumps({"func": rng.choice(checked.sources()), "cases": cases})
    return prompts.get("autoif_material").render(instruction=wanted.render(rng)), f"```json\n{written}\n```"


def back_translate_turn(rng: random.Random, stage: Stage) -> tuple[str, str]:
    """Return a prompt with one to three functions for one format, and what they check."""
    del stage
    wanted = draw_format(rng)
    others = [*wanted.weaker(), change_format(wanted, rng)]
    checked = [wanted if rng.random() < 0.7 else rng.choice(others) for _ in range(rng.choice((1, 2, 2, 3)))]
    functions = "\n\n".join(f"{number}.\n{rng.choice(one.sources())}" for number, one in enumerate(checked, 1))
    said = [one if rng.random() >= WRONG_TRANSLATIONS else change_format(one, rng) for one in checked]
    texts = json.dumps([one.render(rng) for one in said])
    return prompts.get("autoif_back_translate").render(functions=functions), f"```json\n{texts}\n```"


def format_answer_turn(rng: random.Random, stage: Stage) -> tuple[str, str]:
    """Return a prompt for an answer under a format, and the teacher's answer."""
    wanted, task = _draw_format_and_task(rng, stage)
    prompt = prompts.get("autoif_answer").render(instruction=wanted.render(rng), query=task.render(rng))
    return prompt, wanted.apply(task.answer())


def score_turn(rng: random.Random, stage: Stage) -> tuple[str, str]:
    """Return a prompt to score an answer (60 % are right, about 75 % have the form), and the explained score."""
    wanted, task = _draw_format_and_task(rng, stage)
    right, formed = rng.random() < 0.6, rng.random() < 0.75
    answer = task.answer() if right else wrong_answer(task, rng)
    shown = wanted if formed else change_format(wanted, rng)
    response = shown.apply(answer)
    explained, score = VERDICTS[right, wanted.holds(response)]
    values = {"instruction": wanted.render(rng), "query": task.render(rng), "response": response}
    lowest = rng.choice("01")
    return prompts.get("autoif_score").render(**values, lowest=lowest), f"{explained}\nScore: {score}"


def change_format(wanted: Format, rng: random.Random) -> Format:
    """Return a similar format: the same kind with another value, or the same value with another kind."""
    alike = [one for one in FORMATS if one != wanted and one.value == wanted.value]
    if alike and rng.random() < 0.5:
        return rng.choice(alike)
    return Format(wanted.kind, rng.choice([value for value in KINDS[wanted.kind].values if value != wanted.value]))


def wrong_answer(task: Task, rng: random.Random) -> str:
    """Return a wrong answer: that to another kind of task, or with items changed, missing, added or reordered."""
    right = task.answer()
    items = right.split()
    place = rng.randrange(len(items))
    swapped = [*items[:place], rng.choice(task.arguments), *items[place + 1 :]]
    other = Task(rng.choice(("repeat", "reverse", "first", "last", "count")), task.arguments, task.constraints)
    shuffled = rng.sample(items, len(items))
    wrong = [swapped, other.answer().split(), shuffled, items[:-1], [*items, rng.choice(task.arguments)]]
    found = [" ".join(answer) for answer in wrong if answer and answer != items]
    return rng.choice(found) if found else f"{right} {rng.choice(WORDS)}"


def _draw_format_and_task(rng: random.Random, stage: Stage) -> tuple[Format, Task]:
    """Draw a format, and a task of level 0 or 1 whose answer can follow it."""
    while True:
        wanted = draw_format(rng)
        task = draw_task(rng, rng.choices((0, 1), (0.85, 0.15))[0], stage.held_out, stage.kinds, stage.sizes)
        if wanted.holds(wanted.apply(task.answer())):
            return wanted, task


def _text(wanted: Format, follows: bool, rng: random.Random) -> str:
    while True:
        answer = " ".join(rng.sample(WORDS, 2 if follows else 3))
        if wanted.kind == "most" and not follows:
            answer = " ".join(rng.sample(WORDS, LONG_ANSWER_WORDS))
        text = wanted.apply(answer) if follows else _without_format(wanted, answer, rng)
        if wanted.holds(text) == follows:
            return text


def _without_format(wanted: Format, answer: str, rng: random.Random) -> str:
    if wanted.kind == "without":
        return f"{answer} {wanted.value}"
    return answer if wanted.kind == "most" or rng.random() < 0.5 else change_format(wanted, rng).apply(answer)
