"""Loading a study: valid input is typed, and errors are reported with line, field and nearest name."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.errors import InputError, InputErrors
from pipelines.study.file.load import load
from tests.support.timing import children_cpu

WriteStudy = Callable[..., Path]
NAME_RULE = "A name has lower-case letters, digits, '.', '_' and '-', at most 64, the first a letter or a digit."


def problems(path: Path) -> list[str]:
    """What loading complains about, without the file's name."""
    with pytest.raises(InputError) as caught:
        load(path)
    found = caught.value.problems if isinstance(caught.value, InputErrors) else [caught.value]
    return [str(problem).removeprefix(f"{path}:") for problem in found]


def test_a_valid_study_is_typed_and_knows_its_lines(write_study: WriteStudy) -> None:
    path = write_study()
    loaded = load(path)
    assert loaded.study.models["tiny"].engine == "scripted"
    assert loaded.folder == path.parent
    assert loaded.line_of(("models", "tiny", "engine")) == 8
    assert loaded.line_of(("students", 0, "recipe")) == 18


def test_a_default_has_the_line_of_what_stands_around_it(write_study: WriteStudy) -> None:
    loaded = load(write_study())
    assert loaded.line_of(("models", "tiny", "gpus")) == 6
    assert loaded.line_of(("scoring", "scorer")) == 1


def test_whole_numbers_are_taken_where_fractions_are_expected(write_study: WriteStudy) -> None:
    loaded = load(write_study({"    engine: scripted": "    engine: scripted\n    cpus: 2"}))
    assert loaded.study.models["tiny"].cpus == 2.0


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("source: any", "sorce: any", ["7: models.tiny.sorce: unknown key 'sorce'. Did you mean 'source'?"]),
        (
            "engine: scripted",
            "engine: scriptd",
            [
                "8: models.tiny.engine: must be one of auto, transformers, vllm, classifier, http, scripted; "
                "here is the text 'scriptd'. Did you mean 'scripted'?"
            ],
        ),
        (
            "    recipe: quick",
            "",
            ["17: students[0]: missing key 'recipe'. Add for example 'recipe: my-recipe'."],
        ),
        ("epochs: 1", "epochs: 1.5", ["15: recipes.quick.epochs: must be a whole number; here is the number 1.5"]),
        ("epochs: 1", "epochs: '1'", ["15: recipes.quick.epochs: must be a whole number; here is the text '1'"]),
        ("epochs: 1", "epochs: 0", ["15: recipes.quick.epochs: must be more than 0; here is the number 0"]),
        ("epochs: 1", "epochs:", ["15: recipes.quick.epochs: must be a whole number; here is nothing"]),
        ("epochs: 1", "epochs: true", ["15: recipes.quick.epochs: must be a whole number; here is true"]),
        ("source: any", "source: 7", ["7: models.tiny.source: must be text; here is the number 7. Put it in quotes."]),
        ("[tiny]\nresp", "[]\nresp", ["10: evolution.evolvers: needs at least 1 entry; here is an empty list"]),
        ("[tiny]\nresp", "tiny\nresp", ["10: evolution.evolvers: must be a list; here is the text 'tiny'"]),
        ("study: small", "study: ../up", [f"1: study: '../up' cannot be a name. {NAME_RULE}"]),
        ("  quick:\n", "  Quick!:\n", [f"14: recipes.Quick!: 'Quick!' cannot be a name. {NAME_RULE}"]),
        ("{count: 8}", "{count: 8}\n    file: a.csv", ["3: seeds[0]: give exactly one of 'file', 'hub' and 'world'"]),
        (
            "engine: scripted",
            "template: {a: [1]}",
            ["8: models.tiny.template.a: must be text, a number, true or false; here is a list"],
        ),
        (
            "  tiny:\n    source: any\n    engine: scripted",
            "  tiny: any",
            ["6: models.tiny: must be a mapping of keys to values; here is the text 'any'"],
        ),
        (
            "evolvers: [tiny]",
            "evolvers: [tiny]\n  elimination: {juge: tiny}",
            ["11: evolution.elimination.juge: unknown key 'juge'. Did you mean 'judge'?"],
        ),
        (
            "evolvers: [tiny]",
            "evolvers: [tiny]\n  elimination: 3",
            ["11: evolution.elimination: must be a mapping of keys to values; here is the number 3"],
        ),
        (
            "evolvers: [tiny]",
            "evolvers: [tiny]\n  growth: {}",
            ["11: evolution.growth: give 'words', 'ratio' or both"],
        ),
        (
            "evolvers: [tiny]",
            "evolvers: [tiny]\n  method: auto-evol-instruct\n  breadth: false",
            ["9: evolution: 'breadth' is not allowed with the method 'auto-evol-instruct'"],
        ),
        (
            "evolvers: [tiny]",
            "evolvers: [tiny]\n  optimization: {optimizer: tiny}",
            ["9: evolution: 'optimization' is not allowed with the method 'evol-instruct'"],
        ),
        (
            "evolvers: [tiny]",
            "evolvers: [tiny]\n  method: auto-evol-instruct\n  optimization: {}",
            [
                "12: evolution.optimization: missing key 'optimizer' (model that analyses evolutions "
                "and writes better methods). Add for example 'optimizer: my-optimizer'."
            ],
        ),
    ],
)
def test_a_mistake_is_told_with_line_field_and_remedy(
    write_study: WriteStudy, old: str, new: str, expected: list[str]
) -> None:
    assert problems(write_study({old: new})) == expected


def test_a_far_off_key_lists_the_keys_that_there_are(write_study: WriteStudy) -> None:
    found = problems(write_study({"    recipe: quick": "    recipe: quick\n    zzz: 1"}))
    keys = "workers, sharding, cpus, gpus, gradient_checkpointing, checkpoint_steps, together, model, recipe, seeds"
    assert found == [f"19: students[0].zzz: unknown key 'zzz'. Valid names: {keys}."]


def test_all_mistakes_are_shown_at_once_in_the_order_of_their_lines(write_study: WriteStudy) -> None:
    path = write_study({"source: any": "sorce: any", "epochs: 1": "epochs: x", "study: small": "study: UP"}, "zzz: 1\n")
    assert [int(problem.split(":")[0]) for problem in problems(path)] == [1, 7, 15, 19]


def test_at_most_twenty_mistakes_are_printed(write_study: WriteStudy) -> None:
    path = write_study(add="".join(f"unknown{number}: 1\n" for number in range(30)))
    with pytest.raises(InputErrors) as caught:
        load(path)
    lines = str(caught.value).splitlines()
    assert len(lines) == 21
    assert lines[-1] == "... and more"


def test_messages_carry_nothing_of_the_validation_library(write_study: WriteStudy) -> None:
    path = write_study({"epochs: 1": "epochs: []", "source: any": "source: {}"}, "benchmarks: 3\n")
    text = "\n".join(problems(path)).lower()
    assert not any(word in text for word in ("pydantic", "http", "input should", "extra_forbidden", "validation"))


def test_loading_and_checking_imports_nothing_heavy(write_study: WriteStudy) -> None:
    code = (
        "import sys; from pathlib import Path; from pipelines.study.file.load import load;"
        "from pipelines.study.check import check; check(load(Path(sys.argv[1])));"
        "print([name for name in ('torch', 'ray', 'transformers', 'pyarrow', 'numpy') if name in sys.modules])"
    )
    start = children_cpu()
    done = subprocess.run([sys.executable, "-c", code, write_study()], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert children_cpu() - start < 10  # seconds of CPU; usually half of one
