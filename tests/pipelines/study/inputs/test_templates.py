"""Templates, their arguments and engine options are checked before anything is loaded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest
from safetensors.numpy import save

from actors.engines.options import option_error
from actors.engines.registry import ENGINES, option_defaults
from pipelines.errors import InputError, InputErrors
from pipelines.study.check import check
from pipelines.study.file.load import load
from pipelines.study.inputs.models import engine_spec
from pipelines.study.inputs.templates import template_notes

WriteStudy = Callable[..., Path]
MODEL = "source: any\n    engine: scripted"
TURNS = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('none') }}{% endif %}" + TURNS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model's folder without a template, beside the study, and some templates."""
    (tmp_path / "mine").mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "mine" / name).write_text("{}")
    (tmp_path / "mine" / "model.safetensors").write_bytes(save({"lm_head.weight": numpy.zeros((1, 1))}))
    (tmp_path / "turns.jinja").write_text(TURNS)
    (tmp_path / "switch.jinja").write_text("{% if enable_thinking %}<think>{% endif %}" + TURNS)
    (tmp_path / "broken.jinja").write_text("{% for m in messages %}\n{{ m.content }\n{% endfor %}")
    (tmp_path / "readme.jinja").write_text("Hello.")
    return tmp_path


def problems(path: Path) -> list[str]:
    """The errors of a study, each without the path of its file."""
    try:
        check(load(path))
    except InputErrors as errors:
        return [str(one).removeprefix(f"{path}:") for one in errors.problems]
    except InputError as error:
        return [str(error).removeprefix(f"{path}:")]
    return []


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("chat_template: none.jinja", "chat_template: cannot read FOLDER/none.jinja: No such file or directory"),
        ("chat_template: broken.jinja", "chat_template: FOLDER/broken.jinja, line 2: unexpected '}'"),
        ("chat_template: readme.jinja", "chat_template: FOLDER/readme.jinja does not render a user's message"),
        ("chat_template: ~/turns.jinja", "chat_template: '~' is not expanded"),
        ("template: {date: yesterday}", "template.date: 'yesterday' is not a date like 2024-07-26"),
        ("template: {messages: x}", "template.messages: 'messages' is set by evolgrid itself"),
        ("template: {a-b: 1}", "template.a-b: 'a-b' cannot be the name of a template's argument"),
        ("chat_template: turns.jinja\n    template: {enable_thinking: false}", "has no argument 'enable_thinking'"),
        ("options: {stile: echo}", "options.stile: engine 'scripted' has no option 'stile'"),
        ("options: {style: 3}", "options.style: engine 'scripted': option 'style' must be a text, not 3"),
        ("runtime: {latency: fast}", "runtime.latency: engine 'scripted': option 'latency' must be a number"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(folder: Path, write_study: WriteStudy, lines: str, expected: str) -> None:
    (found,) = problems(write_study({MODEL: f"{MODEL}\n    {lines}"}))
    assert expected.replace("FOLDER", str(folder)) in found and found.split(":")[0].isdigit()


@pytest.mark.parametrize(
    "lines",
    [
        "chat_template: switch.jinja\n    template: {enable_thinking: false, date: 2025-01-31}",
        "template: {enable_thinking: false}",
        "options: {style: echo}\n    runtime: {latency: 1}",
    ],
)
def test_what_is_right_passes(folder: Path, write_study: WriteStudy, lines: str) -> None:
    assert problems(write_study({MODEL: f"{MODEL}\n    {lines}"})) == []


def test_a_template_of_a_server_cannot_be_replaced(folder: Path, write_study: WriteStudy) -> None:
    served = "source: m\n    engine: http\n    runtime: {url: 'http://localhost:1/v1'}\n    chat_template: turns.jinja"
    (found,) = problems(write_study({MODEL: served}))
    assert "cannot be replaced" in found and "template" in found


def test_a_model_without_a_template_can_only_be_asked_with_one(folder: Path, write_study: WriteStudy) -> None:
    found = problems(write_study({MODEL: "source: ./mine\n    engine: transformers"}))
    assert found and all("'tiny' has no chat template" in one and "chat_template: FILE" in one for one in found)
    given = "source: ./mine\n    engine: transformers\n    chat_template: turns.jinja"
    assert problems(write_study({MODEL: given})) == []
    for name, content in (
        ("chat_template.jinja", TURNS),
        ("chat_template.json", json.dumps({"chat_template": TURNS})),
        ("tokenizer_config.json", json.dumps({"chat_template": [{"name": "default", "template": TURNS}]})),
    ):
        (folder / "mine" / name).write_text(content)
        assert problems(write_study({MODEL: "source: ./mine\n    engine: transformers"})) == [], name
        (folder / "mine" / name).write_text("{}")
        if name != "tokenizer_config.json":
            (folder / "mine" / name).unlink()


@pytest.mark.parametrize(
    "template",
    ["", " \n", [{"name": "tool_use", "template": TURNS}], {"rag": TURNS, "tool_use": TURNS}],
)
def test_an_empty_template_or_one_for_another_purpose_is_none(
    folder: Path, write_study: WriteStudy, template: object
) -> None:
    (folder / "mine" / "tokenizer_config.json").write_text(json.dumps({"chat_template": template}))
    found = problems(write_study({MODEL: "source: ./mine\n    engine: transformers"}))
    assert found and all("'tiny' has no chat template" in one for one in found)


def test_an_error_in_the_folders_template_is_named(folder: Path, write_study: WriteStudy) -> None:
    (folder / "mine" / "chat_template.jinja").write_text(TURNS + "{% if %}")
    (found,) = problems(write_study({MODEL: "source: ./mine\n    engine: transformers"}))
    assert "models.tiny.source: the chat template of ./mine: Expected an expression" in found
    given = "source: ./mine\n    engine: transformers\n    chat_template: turns.jinja"
    assert problems(write_study({MODEL: given})) == []


def test_a_template_without_a_system_role_is_noted_once(folder: Path, write_study: WriteStudy) -> None:
    (folder / "other.jinja").write_text(NO_SYSTEM)
    (folder / "drops.jinja").write_text(NO_SYSTEM.replace("{{ raise_exception('none') }}", "{% set messages = [] %}"))
    for name, count in (("turns", 0), ("other", 1), ("drops", 1)):
        study = load(write_study({MODEL: f"{MODEL}\n    chat_template: {name}.jinja"})).study
        notes = template_notes(study, folder)
        assert len(notes) == count and all("models.tiny: its chat template has no system role" in one for one in notes)


def test_a_trained_student_keeps_its_own_template(folder: Path, write_study: WriteStudy) -> None:
    lines = "chat_template: switch.jinja\n    template: {enable_thinking: true}"
    model = load(write_study({MODEL: f"{MODEL}\n    {lines}"})).study.models["tiny"]
    spec = engine_spec(model, folder)
    assert spec.chat_template and spec.template_args == (("enable_thinking", True),)
    student = engine_spec(model, folder, "trained")
    assert student.chat_template is None and student.template_args == ()


@pytest.mark.parametrize("engine", [name for name, info in ENGINES.items() if info.options])
def test_each_table_of_options_is_one_of_its_engine(engine: str) -> None:
    defaults = option_defaults(engine)
    assert defaults
    assert all(option_error(engine, name, value, defaults) is None for name, value in defaults.items())


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("vicuna", ""),
        ("turns.jinja", ""),
        ("vicunna", "recipes.quick.template: 'vicunna' is neither the name of a template"),
        ("none.jinja", "nor a file in FOLDER"),
        ("broken.jinja", "recipes.quick.template: FOLDER/broken.jinja, line 2: unexpected '}'"),
    ],
)
def test_the_template_of_a_recipe_is_a_name_or_a_file(
    folder: Path, write_study: WriteStudy, template: str, expected: str
) -> None:
    found = problems(write_study({"    epochs: 1": f"    epochs: 1\n    template: {template}"}))
    assert len(found) == bool(expected)
    assert all(expected.replace("FOLDER", str(folder)) in one for one in found)
