"""What functions check is put into words, and an instruction that contradicts them is dropped."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence

import pytest

from actors.engine import EngineSpec, LoadError
from actors.engines.scripted_engine import ScriptedEngine
from pipelines.operators.autoif.back_translation import (
    BackTranslate,
    NliModel,
    Relation,
    parse_back_translations,
    relations_by_label,
)
from pipelines.operators.autoif.cross_validation import Function
from pipelines.operators.autoif.sampling import RepeatedSampler
from pipelines.rows.operator import Rejected

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
    asker: Callable[..., RepeatedSampler],
) -> None:
    ask, nli = asker(json.dumps(SAID)), Relates("entailment", "neutral", "neutral")
    found = asyncio.run(BackTranslate(ask, nli)("Write a lot.", FUNCTIONS, "a" * 32))
    assert nli.pairs == [("Write a lot.", text) for text in SAID]
    assert found.relations == tuple(zip(SAID, ("entailment", "neutral", "neutral"), strict=True))
    assert found.sample.outcome == "repaired:bare_json"
    asked = ask.client.asked[0].messages[0][1]  # type: ignore[attr-defined]
    assert [function.source in asked for function in FUNCTIONS] == [True, True, True, False]


def test_one_contradiction_among_three_drops_the_instruction(asker: Callable[..., RepeatedSampler]) -> None:
    nli = Relates("entailment", "entailment", "contradiction")
    with pytest.raises(Rejected) as caught:
        asyncio.run(BackTranslate(asker(json.dumps(SAID)), nli)("Write a lot.", FUNCTIONS, "a" * 32))
    assert (caught.value.reason, caught.value.detail) == ("contradiction", "Write three letters.")


def test_a_reply_that_can_not_be_read_drops_the_instruction_with_its_reason(
    asker: Callable[..., RepeatedSampler],
) -> None:
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


PAIRS = [("Use no commas.", "Write commas."), ("Use no commas.", "Avoid commas."), ("Use no commas.", "Be short.")]


def model(labels: str) -> NliModel:
    rules = "Write=1,2,0;Avoid=0,1,2;3,1,2"
    options = (("labels", labels), ("logits", rules))
    return NliModel(ScriptedEngine(EngineSpec("scripted", "nli", options=options)), "nli")


def test_relations_are_those_that_the_model_finds_most_probable_in_whatever_order_its_labels_are() -> None:
    found = asyncio.run(model("NEUTRAL,contradiction,Entailment").relations(PAIRS, "a"))
    assert found == ["contradiction", "entailment", "neutral"]
    found = asyncio.run(model("entailment,neutral,contradiction").relations(PAIRS, "a"))
    assert found == ["neutral", "contradiction", "entailment"]


def test_no_pairs_have_no_relations() -> None:
    assert asyncio.run(model("neutral,contradiction,entailment").relations([], "a")) == []


@pytest.mark.parametrize(
    "names",
    [
        ["LABEL_0", "LABEL_1", "LABEL_2"],
        ["entailment", "not_entailment"],
        ["entailment", "Entailment", "neutral", "contradiction"],
        ["entailment", "neutral", "contradiction", "other"],
    ],
)
def test_a_model_whose_labels_are_not_the_three_relations_is_refused_by_name(names: list[str]) -> None:
    with pytest.raises(LoadError, match="model tiny cannot be loaded: its labels are"):
        relations_by_label("tiny", names)
