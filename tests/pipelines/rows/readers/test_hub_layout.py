"""Which files of a data set on the hub belong to a config and a split."""

from __future__ import annotations

import pytest
from ruamel.yaml import YAML

from pipelines.rows.readers.hub.layout import choose_files
from pipelines.rows.readers.seed_rows import FileProblem

SHARDS = [f"data/{split}-0000{n}-of-00002.parquet" for split in ("test", "train_sft") for n in (0, 1)]


def chosen(names: list[str], config: str | None = None, split: str = "train", card: str = "{}") -> list[str]:
    return choose_files(["README.md", ".gitattributes", *names], YAML(typ="safe").load(card), config, split)


def problem(names: list[str], config: str | None = None, split: str = "train", card: str = "{}") -> str:
    with pytest.raises(FileProblem) as caught:
        chosen(names, config, split, card)
    return f"{caught.value.message}. {caught.value.remedy}"


@pytest.mark.parametrize(
    ("names", "config", "split", "expected"),
    [
        (["alpaca_data.json"], None, "train", ["alpaca_data.json"]),
        (["a.jsonl", "b.jsonl", "config.json", ".x/c.jsonl"], None, "train", ["a.jsonl", "b.jsonl"]),
        (["train.jsonl", "test.jsonl"], None, "test", ["test.jsonl"]),
        (["my-train.csv.gz", "my-dev.csv.gz"], None, "validation", ["my-dev.csv.gz"]),
        (
            ["train/a.parquet", "train/b.parquet", "val/a.parquet"],
            None,
            "train",
            ["train/a.parquet", "train/b.parquet"],
        ),
        (SHARDS, None, "train_sft", SHARDS[2:]),
        (
            ["data/train-00000-of-00001-0a1b.parquet", "extra.json"],
            None,
            "train",
            ["data/train-00000-of-00001-0a1b.parquet"],
        ),
        (["en/train-0.parquet", "de/train-0.parquet"], "en", "train", ["en/train-0.parquet"]),
        (["en/train/0000.parquet", "default/train/0000.parquet"], None, "train", ["default/train/0000.parquet"]),
        (["trainer.jsonl", "latest.jsonl"], None, "train", ["latest.jsonl", "trainer.jsonl"]),
        (["dataset_dict.json", "train/data-00000-of-00001.arrow"], None, "train", ["train/data-00000-of-00001.arrow"]),
        (["train.jsonl"], "default", "train", ["train.jsonl"]),
    ],
)
def test_the_files_of_a_split_are_found_by_their_names(
    names: list[str], config: str | None, split: str, expected: list[str]
) -> None:
    assert chosen(names, config, split) == expected


@pytest.mark.parametrize(
    ("data_files", "split", "expected"),
    [
        ("main.jsonl", "train", ["main.jsonl"]),
        ("[main.jsonl, x/b.jsonl]", "train", ["main.jsonl", "x/b.jsonl"]),
        ("'x/*.jsonl'", "train", ["x/b.jsonl"]),
        ("'**/*.jsonl'", "train", ["main.jsonl", "x/b.jsonl", "x/y/c.jsonl"]),
        ("{train: main.jsonl, extra: ['x/*', 'x/y/*']}", "extra", ["x/b.jsonl", "x/y/c.jsonl"]),
        ("[{split: train_sft, path: ./main.jsonl}]", "train_sft", ["main.jsonl"]),
        ("[{split: a, path: [main.jsonl]}, {split: b, path: 'x/y/*'}]", "b", ["x/y/c.jsonl"]),
    ],
)
def test_the_files_of_a_split_are_those_that_the_card_lists(data_files: str, split: str, expected: list[str]) -> None:
    card = f"configs: [{{config_name: default, data_files: {data_files}}}]"
    assert chosen(["main.jsonl", "x/b.jsonl", "x/y/c.jsonl"], None, split, card) == expected


CONFIGS = "configs: [{config_name: en, data_files: en.jsonl}, {config_name: de, data_dir: de}]"


def test_a_config_of_the_card_is_chosen_by_its_name() -> None:
    names = ["en.jsonl", "de/train.jsonl", "de/test.jsonl"]
    assert chosen(names, "en", card=CONFIGS) == ["en.jsonl"]
    assert chosen(names, "de", "test", CONFIGS) == ["de/test.jsonl"]
    assert chosen(names, None, card=CONFIGS.replace("de}", "de, default: true}")) == ["de/train.jsonl"]


def test_missing_configs_and_splits_are_told_with_those_that_exist() -> None:
    names = ["en.jsonl", "de/train.jsonl"]
    assert problem(names, card=CONFIGS) == "has the configs de, en. Choose one, for example 'config: de'."
    assert problem(names, "fr", card=CONFIGS) == "has no config 'fr'. Its configs are de, en."
    assert problem(names, "en", "test", CONFIGS) == "has no split 'test'. Its splits are train."
    folders = ["en/train.jsonl", "de/train.jsonl"]
    assert problem(folders) == "has the configs de, en. Choose one, for example 'config: de'."
    assert problem(folders, "fr") == "has no config 'fr'. Its configs are de, en."
    assert problem(["train.jsonl"], "fr") == "has no config 'fr'. It has only one: leave 'config' out."
    assert problem(["train.jsonl", "test.jsonl"], split="dev") == "has no split 'dev'. Its splits are test, train."


def test_data_sets_without_files_of_seeds_are_told() -> None:
    assert problem(["script.py", "a.zip"]).startswith("has no files of seeds (.jsonl")
    card = "configs: [{config_name: en, data_files: other.jsonl}]"
    assert problem(["a.jsonl"], card=card).startswith("has no file 'other.jsonl', which its README.md names for the")


def test_a_missing_shard_is_told() -> None:
    assert problem(["data/train-00000-of-00003.parquet", "data/train-00002-of-00003.parquet"]).startswith(
        "lacks 1 of 3 shards, the first one data/train-00001-of-00003"
    )
