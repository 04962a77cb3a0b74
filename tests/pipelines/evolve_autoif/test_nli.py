"""Any classifier of pairs serves, if its labels have the names of the three relations."""

from __future__ import annotations

import asyncio

import pytest

from actors.engine import EngineSpec, LoadError
from actors.scripted_engine import ScriptedEngine
from pipelines.evolve.autoif.nli import NliModel, relations_by_label

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
    with pytest.raises(LoadError, match="model tiny can not be loaded: its labels are"):
        relations_by_label("tiny", names)
