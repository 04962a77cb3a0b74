"""Parses instructions: the exact inverse of `Task.render` for every paraphrase."""

import re

from bundled.world.lexicon import NUMBERS, WORDS, is_number, noun_for
from bundled.world.tasks import FOCI, HEADS, SENTENCES, Task

_INSTRUCTION = re.compile(r"(?P<head>[^:.]+): (?P<items>[a-z0-9 ]+)\.(?P<tail>(?: [A-Z][a-z ]+\.)*)")
_SENTENCE = re.compile(r" ([A-Z][a-z ]+\.)")
_LEXICON = frozenset((*WORDS, *NUMBERS))
_CONSTRAINT_OF = {sentence: name for name, sentences in SENTENCES.items() for sentence in sentences}
_HEAD_OF: dict[str, tuple[str, str | None]] = {
    phrase.format(noun=noun_for(numbers, focus)): (kind, focus)
    for kind, phrases in HEADS.items()
    for phrase in phrases
    for numbers in (False, True)
    for focus in (None, *(name.removeprefix("only_") for name in FOCI))
    if focus is None or numbers == (focus in ("even", "odd"))
}


def parse(instruction: str) -> Task | None:
    """Return the task that the instruction states, or None if it is not an instruction of the world.

    Constraints are in the order of the sentences. A focus comes first, as it is in the first sentence.
    """
    match = _INSTRUCTION.fullmatch(instruction.strip())
    if match is None or match["head"] not in _HEAD_OF:
        return None
    kind, focus = _HEAD_OF[match["head"]]
    items = tuple(match["items"].split(" "))
    sentences = _SENTENCE.findall(match["tail"])
    if not _LEXICON.issuperset(items) or not all(sentence in _CONSTRAINT_OF for sentence in sentences):
        return None
    narrowed = (f"only_{focus}",) if focus else ()
    task = Task(kind, items, (*narrowed, *(_CONSTRAINT_OF[sentence] for sentence in sentences)))
    return task if task.is_sound() and _noun_fits(match["head"], task) else None


def _noun_fits(head: str, task: Task) -> bool:
    numbers = [is_number(item) for item in task.arguments]
    noun = noun_for(numbers[0], task.focus)
    return len(set(numbers)) == 1 and any(head == phrase.format(noun=noun) for phrase in HEADS[task.kind])
