"""AutoIF, step 4: back-translates functions to instructions, and rejects contradictions by an NLI model."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast, get_args

from actors.engine import Classification, ClassifyRequest, Client, LoadError
from pipelines.operators.autoif.cross_validation import Function
from pipelines.operators.autoif.reply_parsing import (
    ParsedReply,
    accepted,
    is_text,
    parse_json,
    reject_truncated,
    rejected,
)
from pipelines.operators.autoif.sampling import RepeatedSampler, Sample, samples_json
from pipelines.rows.operator import Rejected
from pipelines.study.graph.steps.prompt_names import AUTOIF_BACK_TRANSLATE
from prompts import STANDARD_CATALOG, Catalog

MAX_FUNCTIONS = 3


@dataclass(frozen=True)
class BackTranslation:
    """A model's descriptions of what the first functions check, each with its relation to the instruction."""

    relations: tuple[tuple[str, Relation], ...]
    sample: Sample[tuple[str, ...]]


@dataclass(frozen=True)
class BackTranslate:
    """Asks a model what the first three functions check, and an NLI model whether the instruction entails it.

    The instruction is the premise. Rejected: `contradiction` if any back-translation contradicts it (2406.13542: about
    15 %), and the reasons of `parse_back_translations`.
    """

    sampler: RepeatedSampler
    nli: Nli
    catalog: Catalog = STANDARD_CATALOG

    async def __call__(self, instruction: str, functions: Sequence[Function], identity: str) -> BackTranslation:
        first_functions = functions[:MAX_FUNCTIONS]
        prompt = self.catalog.get(AUTOIF_BACK_TRANSLATE).render(functions=_numbered_sources(first_functions))
        read = reject_truncated(lambda text: parse_back_translations(text, len(first_functions)))
        (draw,) = await self.sampler(prompt, read, identity, AUTOIF_BACK_TRANSLATE, 1)
        if draw.value is None:
            raise Rejected(draw.outcome.removeprefix("rejected:"), "back-translation", samples_json((draw,)))
        relations = await self.nli.relations([(instruction, text) for text in draw.value], identity)
        pairs = tuple(zip(draw.value, relations, strict=True))
        if against := contradictions(pairs):
            raise Rejected("contradiction", "; ".join(against), samples_json((draw,)))
        return BackTranslation(pairs, draw)


def parse_back_translations(text: str, count: int) -> ParsedReply[tuple[str, ...]]:
    """Read the texts in a reply's JSON list; there must be `count`, one per function.

    Rejected: `not_json`, `not_a_list` (of non-blank texts), `wrong_number`.
    """
    parsed = parse_json(text)
    if parsed.value is None:
        return rejected(parsed.reason)
    items = cast(list[Any], parsed.value) if isinstance(parsed.value, list) else []
    texts = tuple(item.strip() for item in items if is_text(item) and item.strip())
    if not texts or len(texts) < len(items):
        return rejected("not_a_list")
    return accepted(texts, *parsed.rules) if len(texts) == count else rejected("wrong_number")


def contradictions(pairs: Sequence[tuple[str, Relation]]) -> list[str]:
    """Return the back-translations that contradict the instruction."""
    return [text for text, relation in pairs if relation == "contradiction"]


def _numbered_sources(functions: Sequence[Function]) -> str:
    return "\n\n".join(f"{number}.\n{function.source}" for number, function in enumerate(functions, 1))


Relation = Literal["entailment", "neutral", "contradiction"]
RELATIONS: tuple[Relation, ...] = get_args(Relation)


class Nli(Protocol):
    """A model of natural language inference."""

    async def relations(self, pairs: Sequence[tuple[str, str]], identity: str) -> list[Relation]:
        """Return the most probable relation of each (premise, hypothesis). `identity` is the row's id."""
        ...


@dataclass(frozen=True)
class NliModel:
    """The NLI model behind a classifier's client; `model` is its name in messages.

    The classifier's labels must be the names of the three relations, in any order and case. Otherwise `relations`
    raises LoadError. 2406.13542 uses mDeBERTa-v3-base-xnli-multilingual-nli-2mil7.
    """

    client: Client
    model: str

    async def relations(self, pairs: Sequence[tuple[str, str]], identity: str) -> list[Relation]:
        """See `Nli`."""
        requests = [
            ClassifyRequest(f"{identity}-nli-{number}", premise, hypothesis)
            for number, (premise, hypothesis) in enumerate(pairs)
        ]
        found = await asyncio.gather(*map(self.client.classify, requests))
        return [self._most_probable(one) for one in found]

    def _most_probable(self, found: Classification) -> Relation:
        relations = relations_by_label(self.model, found.labels)
        return relations[found.logits.index(max(found.logits))]


def relations_by_label(model: str, labels: Sequence[str]) -> list[Relation]:
    """Return the relation of each label of a model, by its name.

    Raises:
        LoadError: The labels are not the names of the relations.
    """
    by_name: dict[str, Relation] = {relation: relation for relation in RELATIONS}
    found: list[Relation] = [by_name[label.lower()] for label in labels if label.lower() in by_name]
    if sorted(found) != sorted(RELATIONS) or len(found) < len(labels):
        raise LoadError(model, f"its labels are {[*labels]}; those of an NLI model are {[*RELATIONS]}")
    return found
