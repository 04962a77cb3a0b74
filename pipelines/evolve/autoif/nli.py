"""Whether one sentence follows from another, contradicts it, or neither: any model that classifies pairs so."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, get_args

from actors.engine import LoadError
from actors.loading import check_folder, device_name

Relation = Literal["entailment", "neutral", "contradiction"]
RELATIONS: tuple[Relation, ...] = get_args(Relation)
PAIRS_AT_ONCE = 16
LENGTH = 512  # tokens of a pair: instructions are short


class Nli(Protocol):
    """A model of natural language inference."""

    async def relations(self, pairs: Sequence[tuple[str, str]]) -> list[Relation]:
        """The most probable relation of each (premise, hypothesis)."""
        ...


class SequenceClassifier:
    """A sequence classifier of transformers, from a local folder or the hub; long pairs are cut to what it takes.

    2406.13542 uses mDeBERTa-v3-base-xnli-multilingual-nli-2mil7. LoadError if the model can not be loaded or its
    labels are not the three relations by name, in whatever order and case.
    """

    def __init__(self, model: str, revision: str | None = None) -> None:
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        safe: dict[str, Any] = {"revision": revision, "trust_remote_code": False}
        try:
            check_folder(model)
            self._tokenizer: Any = AutoTokenizer.from_pretrained(model, **safe)
            loaded: Any = AutoModelForSequenceClassification.from_pretrained(model, use_safetensors=True, **safe)
        except (OSError, ValueError) as error:
            raise LoadError(model, " ".join(str(error).split())) from None
        self._relations = relations_by_label(model, loaded.config.id2label)
        self._device = device_name()
        self._model = loaded.to(self._device).eval()
        self._length = min(LENGTH, getattr(loaded.config, "max_position_embeddings", LENGTH))

    async def relations(self, pairs: Sequence[tuple[str, str]]) -> list[Relation]:
        """As of `Nli`. The model works in a thread of its own."""
        return await asyncio.to_thread(self._classify, pairs)

    def _classify(self, pairs: Sequence[tuple[str, str]]) -> list[Relation]:
        batches = [pairs[start : start + PAIRS_AT_ONCE] for start in range(0, len(pairs), PAIRS_AT_ONCE)]
        return [self._relations[label] for batch in batches for label in self._labels(batch)]

    def _labels(self, pairs: Sequence[tuple[str, str]]) -> list[int]:
        import torch

        premises, hypotheses = zip(*pairs, strict=True)
        cut = {"truncation": True, "max_length": self._length}
        encoded = self._tokenizer(list(premises), list(hypotheses), padding=True, return_tensors="pt", **cut)
        with torch.inference_mode():
            return self._model(**encoded.to(self._device)).logits.argmax(-1).tolist()


def relations_by_label(model: str, names: Mapping[int, str]) -> dict[int, Relation]:
    """The relation that each label of a model stands for. LoadError unless their names are those of the relations."""
    by_name: dict[str, Relation] = {relation: relation for relation in RELATIONS}
    found: dict[int, Relation] = {
        label: by_name[name.lower()] for label, name in names.items() if name.lower() in by_name
    }
    if sorted(found.values()) != sorted(RELATIONS) or len(found) < len(names):
        raise LoadError(model, f"its labels are {[*names.values()]}; those of an NLI model are {[*RELATIONS]}")
    return found
