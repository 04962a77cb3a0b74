"""Prompts that a study replaces: files in two layouts, `bare`, and mistakes with file, line and remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

import prompts
from pipelines.errors import InputError, InputErrors
from pipelines.study.check import check
from pipelines.study.file.load import load
from pipelines.study.inputs.prompts.files import read_catalog, read_prompt
from prompts import STANDARD_CATALOG
from tests.pipelines.study.conftest import WriteStudy

HEAD = "---\nvariables: instruction\nparser: answer\n---\n"


@pytest.mark.parametrize(("head", "parser"), [("", "instruction"), (HEAD, "answer"), ("---\nvariables: \n---\n", None)])
def test_a_file_is_a_text_or_has_front_matter(tmp_path: Path, head: str, parser: str | None) -> None:
    (tmp_path / "mine.md").write_text(f"{head}Make this harder:\n{{instruction}} {{}} {{ a }}\n")
    prompt = read_prompt("evol_deepen", "mine.md", tmp_path)
    assert prompt.render(instruction="{input}") == "Make this harder:\n{input} {} { a }"
    assert prompt.parser == (parser or "instruction")
    other = tmp_path / "other.md"
    other.write_text(f"{head}Make that harder:\n{{instruction}}\n")
    assert prompt.digest != read_prompt("evol_deepen", "other.md", tmp_path).digest


def test_bare_is_the_instruction_with_its_input(tmp_path: Path) -> None:
    catalog = read_catalog({"answer": "bare"}, tmp_path)
    assert catalog.get("answer").render(instruction="Name a river.") == "Name a river."
    asked = catalog.get("answer_with_input").render(instruction="Name a river.", input="In Peru.")
    assert asked == "Name a river.\nIn Peru."
    assert catalog.get("evol_deepen") is prompts.get("evol_deepen")


def test_a_row_with_input_is_asked_like_one_without(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Q: {instruction} A:")
    (tmp_path / "b.txt").write_text("{instruction} ({input})")
    values = {"instruction": "Add.", "input": "1 2"}
    alone = read_catalog({"answer": "a.txt"}, tmp_path)
    assert alone.get("answer_with_input").render(**values) == "Q: Add.\n1 2 A:"
    both = read_catalog({"answer": "a.txt", "answer_with_input": "b.txt"}, tmp_path)
    assert both.get("answer_with_input").render(**values) == "Add. (1 2)"
    assert read_catalog({}, tmp_path) == STANDARD_CATALOG


@pytest.mark.parametrize(
    ("name", "content", "line", "message", "remedy"),
    [
        ("evol_deepen", "One\n{instuction}\n", 2, "no placeholder '{instuction}'", "Did you mean 'instruction'?"),
        ("evol_deepen", "One\n", 1, "placeholder '{instruction}' of the prompt 'evol_deepen' is missing", "Write '{in"),
        ("evol_deepen", f"{HEAD}a {{x}}", 5, "has no placeholder '{x}'", "Valid names: instruction."),
        (
            "evol_deepen",
            "---\nparser: anser\n---\n{instruction}",
            2,
            "unknown parser 'anser'",
            "Did you mean 'answer'?",
        ),
        ("evol_deepen", "---\nwhat: x\n---\n{instruction}", 2, "'what: x' is neither", "Front matter has"),
        ("evol_deepen", "---\nvariables: inst\n---\n{instruction}", 2, "has no placeholder '{inst}'", None),
        ("bench_gsm8k", "---\nparser: rating\n---\n{question}", 2, "are always read by 'answer'", "Write 'parser:"),
        (
            "difficulty_score",
            f"{HEAD}{{instruction}}",
            3,
            "needs the values of the parser 'difficulty_score'",
            "Write 'p",
        ),
        ("evol_deepen", "---\nparser: equality\n---\n{instruction}", 2, "and 'equality' returns others", "Write 'p"),
        ("evol_deepen", "[system]\nBe good.\n[user]\n{instruction}", 1, "begins a turn", "Give a system prompt"),
        ("evol_deepen", " \n", None, "the file is empty", None),
        ("evol_deepe", "{instruction}", None, "no prompt is named 'evol_deepe'", "Did you mean 'evol_deepen'?"),
    ],
)
def test_mistakes_are_told_with_their_line(
    tmp_path: Path, name: str, content: str, line: int | None, message: str, remedy: str | None
) -> None:
    (tmp_path / "mine.md").write_text(content)
    with pytest.raises(InputError) as caught:
        read_prompt(name, "mine.md", tmp_path)
    assert message in caught.value.message and caught.value.line == line
    assert remedy is None or (caught.value.remedy or "").startswith(remedy)


def test_a_study_tells_where_the_mistake_is(write_study: WriteStudy, tmp_path: Path) -> None:
    (tmp_path / "deep.md").write_text("Deepen\n{instrction}")
    path = write_study(add="prompts:\n  evol_deepen: deep.md\n  answer: none.md\n")
    with pytest.raises((InputError, InputErrors)) as caught:
        check(load(path))
    told = str(caught.value)
    assert "study.yaml:20: prompts.evol_deepen: " in told and "deep.md, line 2: " in told
    assert "'{instrction}'. Did you mean 'instruction'?" in told
    assert "study.yaml:21: prompts.answer: " in told and "none.md: no such file" in told
