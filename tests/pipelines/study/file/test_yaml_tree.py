"""YAML in which one thing could mean two is refused, with its line; the rest means what YAML 1.2 says."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.errors import InputError
from pipelines.study.file.load import load
from pipelines.study.file.yaml_tree import parse


def refusal(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        load(path)
    return str(caught.value).removeprefix(str(path))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("010", 10),
        ("0o10", 8),
        ("0x1F", 31),
        ("1:30", "1:30"),
        ("no", "no"),
        ("true", True),
        ("1e-5", 1e-5),
        ("2e-5 # comment", 2e-5),
        (".5", 0.5),
        ("1_000", "1_000"),
        ("2026-01-01", "2026-01-01"),
        ("~", None),
        ("'7'", "7"),
        ('"\\u00e9"', "é"),
    ],
)
def test_scalars_mean_what_yaml_1_2_says(text: str, value: object) -> None:
    parsed = parse(f"key: {text}\n", "study.yaml").value
    assert parsed == {"key": value}
    assert type(parsed["key"]) is type(value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("study: a\nstudy: b\n", ":2: study: key 'study' is given twice; the first time in line 1"),
        ("a: {b: 1, b: 2}\n", ":1: a.b: key 'b' is given twice; the first time in line 1"),
        ("a: &x 1\n", ":1: a: anchors ('&x') are not allowed. Write the values out."),
        ("a: 1\nb: *x\n", ":2: b: aliases ('*x') are not allowed. Write the value out."),
        ("a: 1\n<<: {b: 2}\n", ":2: merge keys ('<<') are not allowed. Write the values out."),
        (
            "a: !!python/name:os.system x\n",
            ":1: a: tags ('tag:yaml.org,2002:python/name:os.system') are not allowed. Remove the tag.",
        ),
        ("a:\n\t- b\n", ":2: a tab where spaces are needed. Indent with spaces."),
        ("a: .nan\n", ":1: a: .nan is not a number that can be used here"),
        ("a: -.inf\n", ":1: a: -.inf is not a number that can be used here"),
        ("a: 1e999\n", ":1: a: 1e999 is too large for a number"),
        ("a: " + "9" * 5000 + "\n", ":1: a: this whole number is too large (64 bits at most)"),
        ('a: "\\0"\n', ":1: a: an escape gives U+0000, which is not text"),
        ('a: "\\ud800"\n', ":1: a: an escape gives U+D800, which is not text"),
        (
            "a: [1\n",
            ":2: not valid YAML: expected ',' or ']', but got '<stream end>'"
            " (while parsing a flow sequence, from line 1)",
        ),
        ("a: 1\n---\nb: 1\n", ":2: a second YAML document starts here; a study file has only one"),
        ("%YAML 1.1\n---\na: 1\n", ":2: only YAML 1.2 is supported"),
        ("[" * 500, ":1: nested deeper than 20 levels"),
        ("? [a]\n: 1\n", ":1: a key must be a plain word, not a list or a mapping"),
        ("", ": is empty. The first lines could be 'study: my-study' and 'seeds:'."),
        ("# only a comment\n", ": is empty. The first lines could be 'study: my-study' and 'seeds:'."),
        (
            "- a\n- b\n",
            ":1: is a list, not a mapping of keys to values. The first lines could be 'study: my-study' and 'seeds:'.",
        ),
    ],
)
def test_yaml_that_could_mean_two_things_is_refused_with_its_line(tmp_path: Path, text: str, expected: str) -> None:
    assert refusal(tmp_path / "study.yaml", text.encode()) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"study: a\nseeds: \xff\n", ":2: not UTF-8: byte 0xff. Save the file as UTF-8."),
        (b"study: a\n\nx: a\0b\n", ":3: contains the control character U+0000"),
        (b"study: a\nx: \x1b[31m\n", ":2: contains the control character U+001B"),
        (
            b"a: b\n" * 300_000,
            ": is larger than 1,000,000 bytes. A study file names its data files; it does not contain the data.",
        ),
    ],
)
def test_bytes_that_are_not_text_are_refused(tmp_path: Path, data: bytes, expected: str) -> None:
    assert refusal(tmp_path / "study.yaml", data) == expected


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    assert "study: must be text" in refusal(tmp_path / "study.yaml", b"\xef\xbb\xbfstudy: 1\n")


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for path, expected in ((tmp_path / "none.yaml", "no such file"), (tmp_path, "is a folder, not a study file")):
        with pytest.raises(InputError) as caught:
            load(path)
        assert str(caught.value) == f"{path}: {expected}"


def test_an_alias_bomb_ends_at_its_first_anchor(tmp_path: Path) -> None:
    bomb = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    assert refusal(tmp_path / "study.yaml", bomb.encode()).startswith(":1: a: anchors")
