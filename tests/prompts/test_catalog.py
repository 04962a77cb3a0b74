"""Rendering is pure substitution of values, and templates agree with their front matter."""

import hashlib
from importlib import resources

import pytest

import prompts
from prompts.catalog import PromptError, parse_template

EVOLVE = ("evol_constraints", "evol_deepen", "evol_concretize", "evol_reasoning", "evol_breadth")


def test_every_prompt_that_the_project_asks_is_in_the_catalog() -> None:
    assert {*EVOLVE, "answer", "answer_with_input", "difficulty"} <= set(prompts.names())


@pytest.mark.parametrize("name", prompts.names())
def test_every_variable_is_replaced_and_nothing_else_changes(name: str) -> None:
    prompt = prompts.get(name)
    values = {variable: f"<<{variable}>>" for variable in prompt.variables}
    rendered = prompt.render(**values)
    for variable, value in values.items():
        rendered = rendered.replace(value, "{" + variable + "}")
    assert rendered == prompt.text


@pytest.mark.parametrize("value", ["{instruction}", "{input}", "{{x}}", "{% raw %}", "<|end|>", "\\1 \\g<0>", "", "%s"])
def test_template_syntax_and_chat_markers_in_a_value_stay_a_value(value: str) -> None:
    rendered = prompts.get("answer_with_input").render(instruction=value, input="{instruction}")
    expected = prompts.get("answer_with_input").text.split("{instruction}")[0] + value
    assert rendered.startswith(expected)
    assert rendered.endswith("{instruction}")


def test_missing_and_unknown_variables_are_named() -> None:
    with pytest.raises(PromptError, match=r"missing \['input'\], unknown \['inputs'\]"):
        prompts.get("answer_with_input").render(instruction="a", inputs="b")


def test_an_unknown_prompt_names_the_nearest() -> None:
    with pytest.raises(PromptError, match="'evol_deepen'"):
        prompts.get("evol_deepn")


def test_the_digest_is_that_of_the_file() -> None:
    content = (resources.files("prompts") / "templates" / "answer.md").read_bytes()
    assert prompts.get("answer").digest == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("no front matter", "front matter"),
        ("---\nvariables: a\n---\n{a}", "'parser'"),
        ("---\nvariables: a\nparser\n---\n{a}", "key: value"),
        ("---\nvariables: a, b\nparser: answer\n---\n{a}", "declares"),
        ("---\nvariables: a\nparser: answer\n---\n{a} {b}", "uses"),
    ],
)
def test_a_malformed_template_is_refused(content: str, complaint: str) -> None:
    with pytest.raises(PromptError, match=complaint):
        parse_template("x", content)


@pytest.mark.parametrize("name", EVOLVE)
def test_evolve_frames_use_the_parser_of_instructions(name: str) -> None:
    assert prompts.get(name).parser == "instruction"
