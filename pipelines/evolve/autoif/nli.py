"""Whether one sentence follows from another, contradicts it, or neither: any model that classifies pairs so."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

from actors.engine import Classification, ClassifyRequest, Client, LoadError

Relation = Literal["entailment", "neutral", "contradiction"]
RELATIONS: tuple[Relation, ...] = get_args(Relation)


class Nli(Protocol):
    """A model of natural language inference."""

    async def relations(self, pairs: Sequence[tuple[str, str]], identity: str) -> list[Relation]:
        """The most probable relation of each (premise, hypothesis), asked on behalf of the row `identity`."""
        ...


@dataclass(frozen=True)
class NliModel:
    """A classifier's client; `model` is its name. 2406.13542 uses mDeBERTa-v3-base-xnli-multilingual-nli-2mil7.

    LoadError if the classifier's labels are not the three relations by name, in whatever order and case.
    """

    client: Client
    model: str

    async def relations(self, pairs: Sequence[tuple[str, str]], identity: str) -> list[Relation]:
        """As of `Nli`."""
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
    """The relation that each label of a model stands for. LoadError unless their names are those of the relations."""
    by_name: dict[str, Relation] = {relation: relation for relation in RELATIONS}
    found: list[Relation] = [by_name[label.lower()] for label in labels if label.lower() in by_name]
    if sorted(found) != sorted(RELATIONS) or len(found) < len(labels):
        raise LoadError(model, f"its labels are {[*labels]}; those of an NLI model are {[*RELATIONS]}")
    return found
