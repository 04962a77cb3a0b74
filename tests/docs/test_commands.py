"""Every command in the documentation is checked: parsed by the real command line, run, or marked as not run."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import typer

from pipelines.cli.app import app
from pipelines.results.report.publish import publish
from pipelines.store.store import Store
from pipelines.study.file.load import load
from tests.docs.blocks import ROOT, Command, commands
from tests.support.command_line import evolgrid
from tests.support.offline import run_offline

ALL = list(commands())
OURS = [command for command in ALL if "evolgrid" in Path(command.words[0]).name]
FOLDERS = ("studies/", "examples/", "cluster/", "scripts/", "benchmarks/", "docs/", "bundled/")
# on a study of the placeholder names, whose data sets are finished
RUN = re.compile(r"evolgrid (plan|validate|schema|status|query|verify|gc|report|show|export|push|plugin|init)\b")
NOT_RUN = re.compile(r"--(probe|profile|yes|endpoint|address)|s3://|my_cluster|--row|HOST|papers/")
STUDY = """
study: study
seeds: [{name: world, world: {count: 6}}]
models: {small: {source: small, engine: scripted}}
responses: {teachers: [small]}
"""


def ids(command: Command) -> str:
    return command.place


def test_there_are_commands_on_all_kinds_of_pages() -> None:
    assert len(ALL) > 60 and {"README.md", "docs/tutorial.md"} <= {command.place.partition(":")[0] for command in ALL}


@pytest.mark.parametrize("command", OURS, ids=ids)
def test_a_command_of_evolgrid_is_one_that_its_command_line_parses(command: Command) -> None:
    found, words = typer.main.get_command(app), command.words[1:]
    while hasattr(found, "commands") and words and not words[0].startswith("-"):
        assert words[0] in found.commands, f"{command.place}: evolgrid has no command '{words[0]}'"
        found = found.commands[words.pop(0)]
    if words and words != ["--help"] and not (words == ["--version"] or hasattr(found, "commands")):
        found.make_context("evolgrid", words)  # raises the error of a wrong option


@pytest.mark.parametrize("command", [each for each in ALL if each not in OURS], ids=ids)
def test_any_other_command_is_a_target_of_make_or_marked(command: Command) -> None:
    first, *rest = command.words
    if first == "make":
        text = (ROOT / "Makefile").read_text()
        names = [word for word in rest if "=" not in word]
        assert all(re.search(rf"^{name}:", text, re.MULTILINE) for name in names), f"{command.place}: no such target"
        values = [word.partition("=")[0] for word in rest if "=" in word]
        assert all(re.search(rf"^{name} \?=", text, re.MULTILINE) for name in values), f"{command.place}: no variable"
    else:
        assert command.reason, f"{command.place}: put '<!-- not run: reason -->' before the block of '{command.text}'"


@pytest.mark.parametrize("command", ALL, ids=ids)
def test_files_of_the_repository_exist(command: Command) -> None:
    for word in command.words:
        if word.startswith(FOLDERS):
            assert (ROOT / word).exists(), f"{command.place}: {word}"


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the commands of the pages work: with the repository's folders, a study and its store."""
    folder = tmp_path_factory.mktemp("docs")
    for name in ("studies", "examples", "cluster", "bundled"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "instructions.csv").write_text("instruction\nName a river.\nName a hill.\n")
    for name in ("study.yaml", "STUDY", "my_study.yaml", "own-data.yaml", "endpoint.yaml"):
        (folder / name).write_text(STUDY)
    store = Store(str(folder / "evolgrid-store"))
    grid = run_offline(load(folder / "study.yaml").study, store)
    publish(load(folder / "study.yaml").study, folder, grid, store)
    return folder


def is_run(command: Command) -> bool:
    return bool(RUN.match(command.text)) and not NOT_RUN.search(command.text)


@pytest.mark.parametrize("command", [each for each in OURS if is_run(each)], ids=ids)
def test_a_cheap_command_runs(command: Command, workplace: Path, tmp_path: Path) -> None:
    here = shutil.copytree(workplace, tmp_path / "here", symlinks=True)
    done = evolgrid(*command.words[1:], folder=here)
    assert done.returncode == 0, f"{command.place}: {done.stdout}{done.stderr}"
