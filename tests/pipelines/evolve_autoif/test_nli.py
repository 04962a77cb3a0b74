"""Any classifier of pairs serves, if its labels have the names of the three relations."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from typing import Any

import pytest

from actors.engine import LoadError
from pipelines.evolve.autoif.nli import SequenceClassifier, relations_by_label

WORDS = "use no commas write ten words".split()
LONG = ("use ten words " * 40, "write ten")
PAIRS = [*((" ".join(pair), f"write ten {pair[0]}") for pair in itertools.permutations(WORDS, 2)), LONG]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A tiny random BERT of 32 positions whose labels have an order of their own; its folder and the model."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("nli")
    vocabulary = {word: number for number, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS])}
    raw = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    raw.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(folder)
    torch.manual_seed(2)
    sizes: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 32, "max_position_embeddings": 32}
    layers: dict[str, Any] = {"num_hidden_layers": 2, "num_attention_heads": 2, "initializer_range": 1.0}
    labels = {0: "CONTRADICTION", 1: "Neutral", 2: "entailment"}
    config = BertConfig(vocab_size=len(vocabulary), id2label=labels, **sizes, **layers)
    model = BertForSequenceClassification(config)
    model.save_pretrained(folder)
    return folder, model.eval()


def test_relations_are_those_that_the_model_finds_most_probable(classifier: tuple[Path, Any]) -> None:
    import torch
    from transformers import AutoTokenizer

    folder, model = classifier
    tokenizer = AutoTokenizer.from_pretrained(folder)
    names = ["contradiction", "neutral", "entailment"]
    expected: list[str] = []
    for premise, hypothesis in PAIRS:
        one = tokenizer(premise, hypothesis, return_tensors="pt", truncation=True, max_length=32)
        with torch.inference_mode():
            expected.append(names[model(**one).logits[0].argmax()])
    assert len(set(expected)) > 1
    assert asyncio.run(SequenceClassifier(str(folder)).relations(PAIRS)) == expected


def test_no_pairs_have_no_relations(classifier: tuple[Path, Any]) -> None:
    assert asyncio.run(SequenceClassifier(str(classifier[0])).relations([])) == []


@pytest.mark.parametrize(
    "names",
    [
        {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"},
        {0: "entailment", 1: "not_entailment"},
        {0: "entailment", 1: "Entailment", 2: "neutral", 3: "contradiction"},
        {0: "entailment", 1: "neutral", 2: "contradiction", 3: "other"},
    ],
)
def test_a_model_whose_labels_are_not_the_three_relations_is_refused_by_name(names: dict[int, str]) -> None:
    with pytest.raises(LoadError, match="model tiny can not be loaded: its labels are"):
        relations_by_label("tiny", names)


def test_labels_count_by_name_in_any_order_and_case() -> None:
    names = {0: "Contradiction", 1: "ENTAILMENT", 2: "neutral"}
    assert relations_by_label("tiny", names) == {0: "contradiction", 1: "entailment", 2: "neutral"}


def test_a_folder_that_is_not_there_is_an_error_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=r"does not exist") as caught:
        SequenceClassifier(str(tmp_path / "nothing"))
    assert "\n" not in str(caught.value)
