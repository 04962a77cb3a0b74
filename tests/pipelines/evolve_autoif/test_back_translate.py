"""What functions check is put into words, and an instruction that contradicts them is dropped."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence

import pytest

from pipelines.evolve.autoif.asking import Asker
from pipelines.evolve.autoif.back_translate import BackTranslate, parse_back_translations
from pipelines.evolve.autoif.crosscheck import Function
from pipelines.evolve.autoif.nli import Relation
from pipelines.operators import Rejected

FUNCTIONS = [Function(f"def evaluate(response):\n    return len(response) > {number}", 1.0) for number in range(4)]
SAID = ["Write more than nothing.", "Write two letters.", "Write three letters."]


class Relates:
    """An NLI model that gives these relations, and remembers the pairs."""

    def __init__(self, *relations: Relation) -> None:
        self.given = relations
        self.pairs: list[tuple[str, str]] = []

    async def relations(self, pairs: Sequence[tuple[str, str]], identity: str) -> list[Relation]:
        self.pairs += pairs
        return list(self.given)


def test_the_first_three_functions_are_put_into_words_and_the_instruction_is_the_premise(
    asker: Callable[..., Asker],
) -> None:
    ask, nli = asker(json.dumps(SAID)), Relates("entailment", "neutral", "neutral")
    found = asyncio.run(BackTranslate(ask, nli)("Write a lot.", FUNCTIONS, "a" * 32))
    assert nli.pairs == [("Write a lot.", text) for text in SAID]
    assert found.relations == tuple(zip(SAID, ("entailment", "neutral", "neutral"), strict=True))
    assert found.draw.outcome == "repaired:bare_json"
    asked = ask.client.asked[0].messages[0][1]  # type: ignore[attr-defined]
    assert [function.source in asked for function in FUNCTIONS] == [True, True, True, False]


def test_one_contradiction_among_three_drops_the_instruction(asker: Callable[..., Asker]) -> None:
    nli = Relates("entailment", "entailment", "contradiction")
    with pytest.raises(Rejected) as caught:
        asyncio.run(BackTranslate(asker(json.dumps(SAID)), nli)("Write a lot.", FUNCTIONS, "a" * 32))
    assert (caught.value.reason, caught.value.detail) == ("contradiction", "Write three letters.")


def test_a_reply_that_can_not_be_read_drops_the_instruction_with_its_reason(asker: Callable[..., Asker]) -> None:
    with pytest.raises(Rejected) as caught:
        asyncio.run(BackTranslate(asker("No."), Relates())("Write a lot.", FUNCTIONS, "a" * 32))
    assert caught.value.reason == "not_json"
    assert json.loads(caught.value.raw) == [{"outcome": "rejected:not_json", "reply": "No."}]


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ('```json\n[" a ", "b"]\n```', "accepted"),
        ('["a", "b"]', "repaired:bare_json"),
        ('["a"]', "rejected:wrong_number"),
        ('["a", "b", "c"]', "rejected:wrong_number"),
        ('["a", 2]', "rejected:not_a_list"),
        ('["a", " "]', "rejected:not_a_list"),
        ("[]", "rejected:not_a_list"),
        ('{"a": "b"}', "rejected:not_a_list"),
        ('"a"', "rejected:not_a_list"),
        ("a, b", "rejected:not_json"),
    ],
)
def test_back_translations_are_a_list_of_as_many_texts_as_functions(text: str, outcome: str) -> None:
    found = parse_back_translations(text, 2)
    assert found.outcome == outcome
    assert found.value == (None if outcome.startswith("rejected") else ("a", "b"))
