"""The keys of all steps of all shipped studies, as they were: finished stores are still reused.

A key may only change together with its kind's code_version, a prompt or a parser. Then rewrite the file with
`python -m tests.test_golden_keys`.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from pipelines.study.file.load import load
from pipelines.study.graph.build import build
from pipelines.study.graph.builders import benchmarks as benchmark_steps
from pipelines.study.graph.steps.params.table import STEP_PARAMS

ROOT = Path(__file__).parents[1]
GOLDEN = Path(__file__).parent / "golden" / "step_keys.txt"
STUDIES = (*sorted((ROOT / "studies").glob("*.yaml")), GOLDEN.with_name("every_step.yaml"))
FILES = re.compile(r"(?:file|shots_file|reference|published): ([\w./-]+\.\w+)|, (reference\.txt)\]")


def keys(study: Path, folder: Path) -> Mapping[str, str]:
    """The labels of a study's steps by key; each data file that it names is a stand-in with its name as content."""
    copy = shutil.copy(study, folder)
    for names in FILES.findall(Path(copy).read_text()):
        stand_in = folder / "".join(names)
        stand_in.parent.mkdir(parents=True, exist_ok=True)
        stand_in.write_text(stand_in.name)
    shutil.copy(ROOT / "studies" / "formats.txt", folder)
    (folder / "follow").mkdir(exist_ok=True)
    (folder / "follow" / "format_constraints.json").write_text("[]")
    loaded = load(Path(copy))
    return {key: step.label for key, step in build(loaded.study, folder).steps.items()}


def lines() -> Iterator[str]:
    """One line a step: study, key, kind and label."""
    for study in STUDIES:
        with tempfile.TemporaryDirectory() as folder:
            yield from sorted(f"{study.stem} {key} {label}" for key, label in keys(study, Path(folder)).items())


def test_every_key_is_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark_steps, "_version", lambda name: "any")
    assert list(lines()) == GOLDEN.read_text().splitlines()


def test_the_golden_file_has_a_step_of_every_kind() -> None:
    kinds = {line.split()[2] for line in GOLDEN.read_text().splitlines()}
    assert kinds == STEP_PARAMS.keys()


if __name__ == "__main__":
    benchmark_steps._version = lambda name: "any"
    GOLDEN.write_text("\n".join(lines()) + "\n")
