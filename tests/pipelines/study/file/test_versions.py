"""The version of a study file, and keys that older files have."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.errors import InputError
from pipelines.study.file.json_schema import node_at
from pipelines.study.file.load import load
from pipelines.study.file.versions import RENAMED_KEYS
from tests.support.command_line import evolgrid

JUDGED = """\
benchmarks:
  - name: alpaca
    task: alpaca_eval
    judge: {model: tiny, reference: tiny, difficulty: weights.csv}
"""


@pytest.mark.parametrize("line", ["", "evolgrid: 1\n"])
def test_a_file_without_a_version_is_of_the_first(write_study: Callable[..., Path], line: str) -> None:
    assert load(write_study({"study: small\n": f"study: small\n{line}"})).study.evolgrid == 1


@pytest.mark.parametrize(
    ("version", "told"),
    [
        ("2", "the file is of version 2 of the format, and this evolgrid reads version 1. Update evolgrid."),
        ("0", "'0' is not a version of the format. Write 'evolgrid: 1', or leave the key out."),
        ("'1'", "'1' is not a version of the format"),
        ("1.5", "'1.5' is not a version of the format"),
        ("true", "'True' is not a version of the format"),
        ("next", "'next' is not a version of the format"),
    ],
)
def test_another_version_is_told_before_anything_else(
    write_study: Callable[..., Path], version: str, told: str
) -> None:
    path = write_study({"study: small\n": f"study: small\nevolgrid: {version}\nnew_key: {{}}\nplugins: [./new.py]\n"})
    with pytest.raises(InputError) as raised:
        load(path)
    assert str(raised.value).startswith(f"{path}:2: evolgrid: {told}")


def test_a_key_of_older_files_is_told_with_what_to_do(write_study: Callable[..., Path]) -> None:
    with pytest.raises(InputError) as raised:
        load(write_study(add=JUDGED))
    (line,) = str(raised.value).splitlines()
    assert "benchmarks[0].judge.difficulty: the key 'difficulty' has another name now. It is now 'length_cont" in line


@pytest.mark.parametrize("path", RENAMED_KEYS)
def test_no_key_is_both_valid_and_renamed(path: tuple[str, ...]) -> None:
    lists = ("benchmarks", "evolution", "selection", "students", "seeds")
    loc = tuple(part for name in path for part in ((name, 0) if name in lists else (name,)))
    assert node_at(loc) is None and node_at(loc[:-1]) is not None


def test_the_schema_is_published_by_version() -> None:
    published = evolgrid("schema", "--version", "1")
    assert json.loads(published.stdout)["properties"]["evolgrid"]["const"] == 1
    assert published.stdout == evolgrid("schema").stdout
    other = evolgrid("schema", "--version", "2")
    assert (other.returncode, other.stdout) == (2, "")
    assert other.stderr == "there is no version 2 of the format. This evolgrid has version 1.\n"
