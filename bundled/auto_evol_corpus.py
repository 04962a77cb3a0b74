"""Training conversations of Auto Evol-Instruct: evolutions in four steps, analyses, better methods, and equality.

The initial method has faults on purpose: evolutions of some kinds of task fail until the method has a sentence that
prevents it. So an optimization has failures to find, and there are sentences that really fix them. Every `*_turn`
function returns a prompt and its reply.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import prompts
from bundled.corpus import Stage
from bundled.world.evolution import IN_DEPTH_METHODS, METHODS, evolve
from bundled.world.generate import draw_task
from bundled.world.lexicon import WORDS
from bundled.world.tasks import Task

BEFORE_FORM: Final = "\n\nReply in this form:"
UNREADABLE: Final = "(nothing that could be read)"
UNREADABLE_REASON: Final = "it can not be read"
METHOD_DESCRIPTIONS: Final = {
    "constraints": "Add a constraint.",
    "deepen": "Ask for more.",
    "concretize": "Replace a general word.",
    "reasoning": "Work in two steps.",
}


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one kind of task: the reason in analyses, a teacher's answer, and sentences that fix it."""

    kind: str
    reason: str
    answer: str
    cures: tuple[str, ...]


LOST: Final = Fault(
    "count",
    "it lost its data",
    "Please provide the list.",
    ("Keep all data of the list.", "Do not drop the items of the list."),
)
STATEMENT: Final = Fault(
    "last",
    "it asks for no answer",
    "Thank you. What is the first question?",
    ("It has to ask for an answer.", "Do not return a sentence without a question."),
)
FAULTS: Final = (LOST, STATEMENT)
OTHER_SENTENCES: Final = ("Use the words of the world.", "Do not write more than a few sentences.")
SENTENCES: Final = (*LOST.cures, *STATEMENT.cures, *OTHER_SENTENCES)


def method_with_sentences(sentences: Sequence[str]) -> str:
    """Return the initial method, with sentences inserted before the form of the reply."""
    steps, form = prompts.get("evol_auto").text.split(BEFORE_FORM)
    return "\n\n".join([steps, *sentences]) + BEFORE_FORM + form


def draw_sentences(rng: random.Random) -> list[str]:
    """Draw the sentences that earlier improvements may have added to the method; half of the draws have none."""
    return rng.sample(SENTENCES, rng.choice((0, 0, 0, 1, 1, 2)))


def fault_of(task: Task, sentences: Sequence[str]) -> Fault | None:
    """Return the fault that a method with these sentences has with the task; None if it has none."""
    return next((fault for fault in FAULTS if fault.kind == task.kind and not {*fault.cures} & {*sentences}), None)


def break_instruction(instruction: str, fault: Fault) -> str:
    """Return what a fault makes of an instruction of the world."""
    if fault is LOST:
        return re.sub(r": [^.]*\.", ".", instruction, count=1)
    items = instruction.split(": ", 1)[1].split(".", 1)[0]
    return f"The list is {items}."


def auto_turn(rng: random.Random, stage: Stage) -> tuple[str, str]:
    """Return an evolver's prompt, from the initial method or a better one, and its reply."""
    return auto_turn_with(draw_sentences(rng), rng, stage)


def auto_turn_with(sentences: Sequence[str], rng: random.Random, stage: Stage) -> tuple[str, str]:
    """Return an evolver's prompt, from the method with these sentences, and its reply."""
    task = _task(rng, stage)
    instruction, way, evolved = _evolve_task(task, rng)
    if fault := fault_of(task, sentences):
        evolved = break_instruction(evolved, fault)
    return prompts.fill(method_with_sentences(sentences), instruction), _steps(way, evolved, rng)


def broken_auto_turn(rng: random.Random, stage: Stage) -> tuple[str, str]:
    """Return an evolver's prompt with a broken instruction, and its reply, which does not repair the instruction."""
    fault = rng.choice(FAULTS)
    instruction, way, evolved = _evolve_task(_task(rng, stage, fault.kind), rng)
    prompt = prompts.fill(method_with_sentences(draw_sentences(rng)), break_instruction(instruction, fault))
    return prompt, _steps(way, break_instruction(evolved, fault), rng)


def broken_answer_turn(rng: random.Random, stage: Stage) -> tuple[str, str]:
    """Return a teacher's prompt with a broken instruction, and its answer."""
    fault = rng.choice(FAULTS)
    instruction = break_instruction(_evolve_task(_task(rng, stage, fault.kind), rng)[2], fault)
    return prompts.get("answer").render(instruction=instruction), fault.answer


def analyze_turn(rng: random.Random, stage: Stage) -> tuple[str, str]:
    """Return an optimizer's prompt with two to six cases, and its analysis: which of them failed, and why."""
    rounds = rng.choice((1, 1, 1, 2))
    chains = [_chain(rng, stage, rounds) for _ in range(rng.choice((2, 3, 3, 4, 4, 5, 6)))]
    cases = [f"Case {number}\n{text}" for number, (text, _) in enumerate(chains, 1)]
    return prompts.get("auto_evol_analyze").render(trajectories="\n\n".join(cases)), feedback_on(
        [reason for _, reason in chains]
    )


def feedback_on(reasons: Sequence[str | None]) -> str:
    """Return an analysis: one line per failed case, with its number (from 1) and the reason."""
    lines = [f"Case {number} fails: {reason}." for number, reason in enumerate(reasons, 1) if reason]
    return "\n".join(lines) or "No case fails."


def optimize_turn(rng: random.Random, stage: Stage) -> tuple[str, str]:
    """Return an optimizer's prompt, and a better method.

    It has one additional sentence, which fixes a failure of the feedback if possible.
    """
    del stage
    sentences = draw_sentences(rng)
    reasons = [_reason(rng) for _ in range(rng.choice((3, 4, 5, 6)))]
    wanted = [cure for fault in FAULTS if fault.reason in reasons for cure in fault.cures] or [*OTHER_SENTENCES]
    fresh = [sentence for sentence in wanted if sentence not in sentences] or [
        sentence for sentence in SENTENCES if sentence not in sentences
    ]
    better = method_with_sentences([*sentences, rng.choice(fresh)])
    prompt = prompts.get("auto_evol_optimize").render(
        method=method_with_sentences(sentences), feedback=feedback_on(reasons)
    )
    return prompt, f"```Optimized Method\n{better}\n```"


def equality_turn(rng: random.Random, stage: Stage) -> tuple[str, str]:
    """Return a judge's prompt with two instructions, and whether they are the same task, which half of them are."""
    task = _task(rng, stage)
    first = task.render(rng)
    if rng.random() < 0.5:
        second, label = rng.choice((first, task.render(rng), task.render(rng))), prompts.EQUAL
    else:
        second, label = evolve(first, rng.choice(METHODS), rng) or _replace_item(first, rng), prompts.NOT_EQUAL
    return prompts.get("equality").render(first=first, second=second), label


def _replace_item(instruction: str, rng: random.Random) -> str:
    head, rest = instruction.split(": ", 1)
    items, tail = rest.split(".", 1)
    old = items.split()
    old[rng.randrange(len(old))] = rng.choice([word for word in WORDS if word not in old])
    return f"{head}: {' '.join(old)}.{tail}"


def _task(rng: random.Random, stage: Stage, kind: str | None = None) -> Task:
    level = rng.choices((0, 1, 2), (0.6, 0.25, 0.15))[0]
    return draw_task(rng, level, stage.held_out, (kind,) if kind else stage.kinds, stage.sizes)


def _evolve_task(task: Task, rng: random.Random) -> tuple[str, str, str]:
    """Return the instruction of a task, the method by which it is evolved, and the evolution."""
    instruction = task.render(rng)
    ways = rng.sample(IN_DEPTH_METHODS, len(IN_DEPTH_METHODS))
    found = ((way, evolve(instruction, way, rng)) for way in ways)
    return next((instruction, way, evolved) for way, evolved in found if evolved)


def _steps(way: str, evolved: str, rng: random.Random) -> str:
    other = rng.choice([name for name in METHOD_DESCRIPTIONS if name != way])
    ways = "\n".join(rng.sample((METHOD_DESCRIPTIONS[way], METHOD_DESCRIPTIONS[other]), 2))
    return (
        f"#Methods List#:\n{ways}\n\n#Plan#:\n{METHOD_DESCRIPTIONS[way]}\n\n"
        f"#Rewritten Instruction#:\n{evolved}\n\n#Finally Rewritten Instruction#:\n{evolved}"
    )


def _chain(rng: random.Random, stage: Stage, rounds: int) -> tuple[str, str | None]:
    """Return the stages of a case as an optimizer reads them, and the reason why it failed; None if it did not."""
    fault = rng.choice(FAULTS) if rng.random() < 0.3 else None
    stages = [_task(rng, stage, fault.kind if fault else None).render(rng)]
    for _ in range(rounds):
        stages.append(evolve(stages[-1], rng.choice(IN_DEPTH_METHODS), rng) or stages[-1])
    if fault:
        stages = [stages[0], *(break_instruction(text, fault) for text in stages[1:])]
    unreadable = not fault and rng.random() < 0.05
    if unreadable:
        stages = [*stages[:-1], UNREADABLE]
    text = "\n".join(f"Stage {number}: {text}" for number, text in enumerate(stages))
    return text, fault.reason if fault else UNREADABLE_REASON if unreadable else None


def _reason(rng: random.Random) -> str | None:
    return rng.choices((None, UNREADABLE_REASON, *(fault.reason for fault in FAULTS)), (0.6, 0.04, 0.18, 0.18))[0]
