"""`evolgrid validate`: one line for a sound study, and all mistakes of another one at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command_line import ROOT, evolgrid

QUICKSTART = (ROOT / "studies/quickstart.yaml").read_text()


def validated(folder: Path, text: str) -> tuple[int, str, list[str]]:
    """The exit code, the output, and the lines of mistakes without the file's name."""
    (folder / "study.yaml").write_text(text)
    done = evolgrid("validate", "study.yaml", folder=folder)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, [line.removeprefix("study.yaml:") for line in done.stderr.splitlines()]


def test_a_sound_study_is_one_line(tmp_path: Path) -> None:
    code, told, mistakes = validated(tmp_path, QUICKSTART)
    assert (code, mistakes) == (0, [])
    assert told.startswith("study.yaml: OK. 240 seeds, 4 models, ") and told.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["study.yaml"]


def test_mistakes_of_types_names_and_sizes_are_found_together(tmp_path: Path) -> None:
    changes = {
        "breadth: true": "breath: true",  # a misspelt key
        "temperature: 0.7": "temperature: hot",  # a wrong type
        "teachers: [tiny-1m, tiny-4m]": "teachers: [tiny-1m, tiny-5m]",  # an unknown model
        "tuning: lora": "tuning: lorra",  # a wrong choice
        "recipe: full}": "recipe: ful}",  # an unknown recipe
        "bundled:tiny-4m-base": "bundled:tiny-9m-base",  # an unknown source
    }
    text = QUICKSTART
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new, 1)
    code, told, mistakes = validated(tmp_path, text)
    assert (code, told) == (2, "")
    numbers = [int(line.split(":")[0]) for line in mistakes]
    assert numbers == sorted(numbers) and len(mistakes) == len(changes)
    for word in ("breath", "'hot'", "'tiny-5m'", "'lorra'", "'ful'", "'tiny-9m-base'"):
        assert sum(word in line for line in mistakes) == 1, word


def test_a_corrected_value_is_not_reported_twice(tmp_path: Path) -> None:
    _, _, mistakes = validated(tmp_path, QUICKSTART.replace("max_length: 256", "max_length: many"))
    assert len(mistakes) == 2 and all("'many'" in line for line in mistakes)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("evolvers: [tiny-1m, tiny-4m]", "evolvers: [tiny-1m, 7]", "evolvers[1]"),  # an item of a list
        ("- {model: base-1m, recipe: full}", "- {recipe: full}", "missing key 'model'"),
        ("study: quickstart", "study: [", "study.yaml"),
    ],
)
def test_what_cannot_be_corrected_is_still_reported(tmp_path: Path, old: str, new: str, told: str) -> None:
    (tmp_path / "study.yaml").write_text(QUICKSTART.replace(old, new))
    done = evolgrid("validate", "study.yaml", folder=tmp_path)
    assert done.returncode == 2 and told in done.stderr and "Traceback" not in done.stderr


def test_bad_seed_rows_are_reported_with_the_other_mistakes(tmp_path: Path) -> None:
    (tmp_path / "seeds.jsonl").write_text('{"instruction": "Name a bird."}\n{"instruction": ""}\n{"x": 1}\n')
    text = QUICKSTART.replace("world: {count: 240, levels: [0]}", "file: seeds.jsonl").replace("rounds: 3", "rounds: x")
    code, _, mistakes = validated(tmp_path, text)
    assert code == 2
    assert any("seeds.jsonl:2" in line for line in mistakes) and any("seeds.jsonl:3" in line for line in mistakes)
    assert any("evolution.rounds" in line for line in mistakes)


def test_plan_and_validate_agree_on_shipped_studies() -> None:
    for path in ("studies/quickstart.yaml", "studies/three_methods.yaml", "studies/papers/evolvers_code.yaml"):
        plan, valid = evolgrid("plan", path, "--store", "memory://x"), evolgrid("validate", path)
        assert plan.returncode == valid.returncode
        assert plan.stderr.splitlines()[:1] == valid.stderr.splitlines()[:1]
