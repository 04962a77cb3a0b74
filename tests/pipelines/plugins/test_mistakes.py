"""Mistakes of a plug-in are one line with its file and line."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.study.plugins.active import active_plugins
from tests.pipelines.plugins.conftest import METRIC
from tests.support.command_line import evolgrid

WritePlugged = Callable[..., Path]
HEAD = "from pipelines.plugins import EngineKind, Measure, Method, Metric, Parser, PromptText, Setting, StepKind\n"
STEP = """\
from dataclasses import dataclass
from pipelines.rows.types import Row
from pipelines.study.graph.steps.step import StepParams

@dataclass(frozen=True, slots=True)
class Params(StepParams):
    kind = "loud"
    code_version = 1
    row_wise = True
    WORK

@dataclass(frozen=True)
class Loud(Row):
    loudness: TYPE

"""
GOOD = STEP.replace("WORK", 'work_type = "score"').replace("TYPE", "float")


@pytest.mark.parametrize(
    ("plugin", "line", "told"),
    [
        ("def f(:\n", 1, "not valid Python: invalid syntax"),
        ("\nimport no_such_package\n", 2, "ModuleNotFoundError: No module named 'no_such_package'. A plug-in file is"),
        ("import sys\nsys.exit(3)\n", 2, "SystemExit: 3"),
        ("x = 1 / 0\n", 1, "ZeroDivisionError: division by zero"),
        ("x = 1\n", None, "adds nothing to evolgrid. Assign a record to a name"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line(
    plugged: WritePlugged, tmp_path: Path, plugin: str, line: int | None, told: str
) -> None:
    check_told(plugged(plugin), "mine.py" if line is None else f"mine.py:{line}", told)


@pytest.mark.parametrize(
    ("plugin", "line", "told"),
    [
        ("Metric('a', 'high')\n", 2, "a metric has either a 'value', or a 'column' of the rows that it 'needs'"),
        ("M = Metric('a', 'high', print, needs='score')\n", 2, "'needs' of a metric must be a tuple of kinds"),
        ("M = Metric('a')\n", 2, "TypeError: Metric.__init__() missing 1 required positional argument: 'better'"),
        ("M = Metric('a', 'up', print)\n", 2, "'better' of a metric must be 'high' or 'low'; here is 'up'"),
        (
            "M = Metric('a', 'low', lambda: 0)\n",
            2,
            "'value' of a metric must be a function of (measurements); '<lambda>'",
        ),
        ("M = Metric('a', 'low', 3)\n", 2, "'value' of a metric must be a function of (measurements); here is int"),
        ("M = Metric('A b', 'low', print)\n", 2, "'A b' cannot be the name of a metric"),
        ("\nM = Metric('ifd', 'low', print)\n", 3, "a metric named 'ifd' exists already"),
        ("M = Metric('a', 'low', needs=('scor',), column='b')\n", 2, "needs rows of 'scor', which no step makes. Did"),
        ("M = Metric('a', 'low', needs=('score',), column='b')\n", 2, "rows of 'score' have no column 'b'"),
        (
            "M = Method('evol-instruct', lambda builder, inputs: ())\n",
            2,
            "a method named 'evol-instruct' exists already",
        ),
        (
            "M = Method('a', None)\n",
            2,
            "'rounds' of a method must be a function of (builder, inputs); here is NoneType",
        ),
        ("M = EngineKind('a', {})\n", 2, "'info' of an engine must be of the type EngineInfo; here is dict"),
        ("M = PromptText('a', 'Say {x}.')\n", 2, "prompt 'a': the file must start with front matter"),
        ("M = PromptText('a', '---\\nvariables:\\nparser: no\\n---\\nHi')\n", 2, "names the unknown parser 'no'"),
        ("M = Parser('answer', str)\n", 2, "a parser named 'answer' exists already"),
        ("M = Setting('seeds', int, 'x')\n", 2, "'study' has a key 'seeds' already"),
        ("M = Setting('a', int, 'x', block='models')\n", 2, "'block' of a setting must be one of study, evolution"),
        ("M = Setting('a', print, 'x')\n", 2, "'type' of the setting 'a' cannot be a value"),
        ("M = StepKind(int, int, print)\n", 2, "'params' of a step must be a class that inherits from StepParams"),
        (GOOD + "M = StepKind(Params, int, print)\n", 17, "'row' of a step must be a class that inherits from Row"),
        (
            GOOD + "M = Measure(Params, Loud, print)\n",
            17,
            "'add' of a measure must be a function of (builder, instructions",
        ),
        (
            STEP.replace("WORK", "").replace("TYPE", "float") + "M = StepKind(Params, Loud, print)\n",
            17,
            "add 'workload'",
        ),
        (
            GOOD.replace("float", "object") + "M = StepKind(Params, Loud, print)\n",
            17,
            "has a field that cannot be stored",
        ),
    ],
)
def test_a_wrong_record_is_one_line(plugged: WritePlugged, plugin: str, line: int, told: str) -> None:
    check_told(plugged(HEAD + plugin), f"mine.py:{line}", told)


def check_told(path: Path, place: str, told: str) -> None:
    done = evolgrid("plan", path.name, folder=path.parent)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"{place}: ") and told in done.stderr, done.stderr
    assert not active_plugins()


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("./other.py", r"study.yaml:2: plugins\[0\]: no such file: ./other.py"),
        ("./mine.pu", r"study.yaml:2: plugins\[0\]: './mine.pu' is neither a Python file nor the name of a package"),
        ("./", r"study.yaml:2: plugins\[0\]: the folder './' is not a package: it has no __init__.py. Add one"),
        (
            "./json",
            r"study.yaml:2: plugins\[0\]: another package is named 'json': in Python's standard library. Rename",
        ),
        ("./pytest", r"study.yaml:2: plugins\[0\]: another package is named 'pytest': \S+/pytest. Rename the folder."),
        ("./my-plugin", r"study.yaml:2: plugins\[0\]: 'my-plugin' cannot be the name of a Python package. Rename"),
        ("no_such_package", r"no package 'no_such_package' is installed. Install it, or name a file: './no_such_pack"),
        ("./mine.py, mine.py", r"study.yaml:2: plugins\[1\]: this plug-in is given twice"),
        ("3", r"study.yaml:2: plugins\[0\]: must be text; here is the number 3"),
    ],
)
def test_an_entry_that_names_nothing_is_told(plugged: WritePlugged, tmp_path: Path, entry: str, told: str) -> None:
    for name in ("json", "pytest", "my-plugin"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(METRIC)
    path = plugged(METRIC, {"./mine.py": entry, "by: shouting": "by: words"})
    done = evolgrid("plan", path.name, folder=tmp_path)
    assert done.returncode == 2 and re.search(told, done.stderr), done.stderr


def test_two_plugins_cannot_have_one_name(plugged: WritePlugged, tmp_path: Path) -> None:
    path = plugged(METRIC, {"./mine.py": "./mine.py, ./sub/mine.py"})
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "mine.py").write_text(METRIC.replace('"shouting"', '"other"'))
    done = evolgrid("plan", path.name, folder=tmp_path)
    assert done.stderr == "sub/mine.py: another plug-in has this name: mine.py. Rename one of them.\n"
