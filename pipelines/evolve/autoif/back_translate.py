"""Step 4: what do the functions check, by their code alone? An instruction that says otherwise is dropped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import prompts
from pipelines.evolve.autoif.asking import Asker, Draw, told
from pipelines.evolve.autoif.crosscheck import Function
from pipelines.evolve.autoif.nli import Nli, Relation
from pipelines.evolve.autoif.reading import Reading, accepted, complete, is_text, json_in, rejected
from pipelines.operators import Rejected

FUNCTIONS = 3
PROMPT = "autoif_back_translate"


@dataclass(frozen=True)
class BackTranslated:
    """What the first functions check in the words of a model, each with its relation to the instruction."""

    relations: tuple[tuple[str, Relation], ...]
    draw: Draw[tuple[str, ...]]


@dataclass(frozen=True)
class BackTranslate:
    """Asks what the first three functions check, and an NLI model whether the instruction says so.

    The instruction is the premise. Rejected: `contradiction` if any back-translation is one (2406.13542: about 15 %),
    and the reasons for which a reply is not read.
    """

    ask: Asker
    nli: Nli

    async def __call__(self, instruction: str, functions: Sequence[Function], identity: str) -> BackTranslated:
        asked = functions[:FUNCTIONS]
        prompt = prompts.get(PROMPT).render(functions=_numbered(asked))
        read = complete(lambda text: parse_back_translations(text, len(asked)))
        (draw,) = await self.ask(prompt, read, identity, PROMPT, 1)
        if draw.value is None:
            raise Rejected(draw.outcome.removeprefix("rejected:"), "back-translation", told((draw,)))
        relations = await self.nli.relations([(instruction, text) for text in draw.value], identity)
        pairs = tuple(zip(draw.value, relations, strict=True))
        if against := contradictions(pairs):
            raise Rejected("contradiction", "; ".join(against), told((draw,)))
        return BackTranslated(pairs, draw)


def parse_back_translations(text: str, count: int) -> Reading[tuple[str, ...]]:
    """The texts in a reply's JSON list, as many as there are functions.

    Rejected: `not_json`, `not_a_list` (of texts that are not blank), `wrong_number`.
    """
    found = json_in(text)
    if found.value is None:
        return rejected(found.reason)
    items = cast(list[Any], found.value) if isinstance(found.value, list) else []
    texts = tuple(item.strip() for item in items if is_text(item) and item.strip())
    if not texts or len(texts) < len(items):
        return rejected("not_a_list")
    return accepted(texts, *found.rules) if len(texts) == count else rejected("wrong_number")


def contradictions(pairs: Sequence[tuple[str, Relation]]) -> list[str]:
    """The back-translations that contradict the instruction."""
    return [text for text, relation in pairs if relation == "contradiction"]


def _numbered(functions: Sequence[Function]) -> str:
    return "\n\n".join(f"{number}.\n{function.source}" for number, function in enumerate(functions, 1))
