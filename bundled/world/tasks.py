"""A task of the world: what to do with a list of items, under which constraints, and the gold answer."""

import random
from dataclasses import dataclass
from typing import Final

from bundled.world.lexicon import CATEGORIES, PARITIES, is_number, kind_of, noun_for

MAX_LEVEL: Final = 4
MIN_ITEMS: Final = 2
MAX_ITEMS: Final = 5
HEADS: Final[dict[str, tuple[str, ...]]] = {
    "repeat": ("Repeat the {noun}", "Copy the {noun}"),
    "reverse": ("Reverse the {noun}", "Write the {noun} backwards"),
    "first": ("Give the first of the {noun}", "Which of the {noun} comes first"),
    "last": ("Give the last of the {noun}", "Which of the {noun} comes last"),
    "count": ("Count the {noun}", "Give the number of the {noun}"),
    "kinds": ("Name the kind of the {noun}", "Say of which kind are the {noun}"),
    "increase": ("Add one to the {noun}", "Increase by one the {noun}"),
    "largest": ("Find the largest of the {noun}", "Which of the {noun} is the largest"),
}
WORD_KINDS: Final = ("repeat", "reverse", "first", "last", "count", "kinds")
NUMBER_KINDS: Final = ("repeat", "reverse", "first", "last", "count", "increase", "largest")
LIST_KINDS: Final = ("repeat", "reverse", "kinds", "increase")
SENTENCES: Final[dict[str, tuple[str, ...]]] = {
    "dashes": ("Put a dash between the items.", "Separate the items by a dash."),
    "brackets": ("Put the result in brackets.", "Write the result between brackets."),
    "done": ("End with the word done.", "Close with the word done."),
    "yes": ("Start with the word yes.", "Open with the word yes."),
    "also_length": ("Also give the length of the list.", "Also say how long the list is."),
    "also_kind": ("Also name the kind of the first item.", "Also say which kind the first item is."),
    "also_last": ("Also repeat the last item.", "Also say which item is last."),
    "drop_first": ("Before that drop the first item.", "Work without the first item."),
    "drop_last": ("Before that drop the last item.", "Work without the last item."),
    "flip": ("Before that reverse the list.", "Work on the reversed list."),
}
FOCI: Final = tuple(f"only_{kind}" for kind in (*CATEGORIES, *PARITIES))
METHOD_CONSTRAINTS: Final[dict[str, tuple[str, ...]]] = {
    "constraints": ("dashes", "brackets", "done", "yes"),
    "deepen": ("also_length", "also_kind", "also_last"),
    "concretize": FOCI,
    "reasoning": ("drop_first", "drop_last", "flip"),
}


@dataclass(frozen=True)
class Task:
    """`kind` says what is done with the list `arguments`; `constraints` are in the order in which they were added.

    A constraint 'only_<kind>' narrows the list to the items of that kind. Drops and flip act on the whole list before
    that, whatever their position in the instruction.
    """

    kind: str
    arguments: tuple[str, ...]
    constraints: tuple[str, ...] = ()

    @property
    def level(self) -> int:
        """The number of constraints; 0 is the plain task."""
        return len(self.constraints)

    @property
    def focus(self) -> str | None:
        """The kind of item to which the task is narrowed, if any."""
        foci = [name.removeprefix("only_") for name in self.constraints if name.startswith("only_")]
        return foci[0] if foci else None

    def selected(self) -> tuple[str, ...]:
        """Return the items on which the task works: after drops, flip and focus."""
        items = self.arguments["drop_first" in self.constraints :]
        items = items[: len(items) - ("drop_last" in self.constraints)]
        items = items[::-1] if "flip" in self.constraints else items
        return tuple(item for item in items if self.focus in (None, kind_of(item)))

    def is_sound(self) -> bool:
        """Return whether the task is one of the world: known parts, no conflict, and at least one item to work on."""
        numbers = all(is_number(item) for item in self.arguments)
        focused = sum(name.startswith("only_") for name in self.constraints)
        return (
            MIN_ITEMS <= len(self.arguments) <= MAX_ITEMS
            and len(set(self.arguments)) == len(self.arguments)
            and len(set(self.constraints)) == self.level <= MAX_LEVEL
            and self.kind in (NUMBER_KINDS if numbers else WORD_KINDS)
            and focused <= 1
            and bool(self.selected())
        )

    def render(self, rng: random.Random) -> str:
        """Return the instruction in English; its wording is drawn from the paraphrases."""
        noun = noun_for(is_number(self.arguments[0]), self.focus)
        head = rng.choice(HEADS[self.kind]).format(noun=noun)
        tail = [rng.choice(SENTENCES[name]) for name in self.constraints if name in SENTENCES]
        return " ".join([f"{head}: {' '.join(self.arguments)}.", *tail])

    def answer(self) -> str:
        """Return the gold answer."""
        return self._extend(self._format(self._result()))

    def _result(self) -> list[str]:
        items = list(self.selected())
        match self.kind:
            case "reverse":
                return items[::-1]
            case "first":
                return items[:1]
            case "last":
                return items[-1:]
            case "count":
                return [str(len(items))]
            case "kinds":
                return [kind_of(item) for item in items]
            case "increase":
                return [str(int(item) + 1) for item in items]
            case "largest":
                return [max(items, key=int)]
            case _:
                return items

    def _format(self, result: list[str]) -> str:
        text = (" - " if "dashes" in self.constraints else " ").join(result)
        return f"( {text} )" if "brackets" in self.constraints else text

    def _extend(self, text: str) -> str:
        extras = {
            "also_length": str(len(self.arguments)),
            "also_kind": kind_of(self.arguments[0]),
            "also_last": self.arguments[-1],
        }
        text = ", ".join([text, *(extras[name] for name in self.constraints if name in extras)])
        text = f"yes {text}" if "yes" in self.constraints else text
        return f"{text} done" if "done" in self.constraints else text
