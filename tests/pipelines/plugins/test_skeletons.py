"""Every skeleton of `evolgrid plugin new` is a plug-in that works, with a test that passes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, get_args

import pytest

from pipelines.plugins.skeleton import SkeletonKind
from tests.support.command_line import evolgrid

KINDS = get_args(SkeletonKind)


@pytest.mark.parametrize("kind", KINDS)
def test_its_own_test_passes(kind: str, tmp_path: Path) -> None:
    done = evolgrid("plugin", "new", kind, "my_own", folder=tmp_path)
    assert done.returncode == 0 and "plugins: [./my_own.py]" in done.stdout, done.stderr
    text = (tmp_path / "my_own.py").read_text() + (tmp_path / "test_my_own.py").read_text()
    assert "NAME" not in text and max(map(len, text.splitlines())) <= 120
    tests = functions_of(tmp_path / "test_my_own.py")
    assert len(tests) == 2
    for number, (test, study) in enumerate(tests):
        (tmp_path / str(number)).mkdir()
        given = study(tmp_path / str(number))
        test(next(given))
        assert not [*given]


def functions_of(path: Path) -> list[tuple[Callable[..., Any], Callable[..., Any]]]:
    """The tests of a file, each with the function behind the fixture `study`."""
    spec = spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    study = inspect.unwrap(module.study)
    return [(value, study) for name, value in vars(module).items() if name.startswith("test_")]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("My-Own", "'My-Own' cannot be the name of a plug-in"),
        ("old", "old.py: the file exists already. Choose another"),
    ],
)
def test_no_file_is_replaced(tmp_path: Path, name: str, told: str) -> None:
    (tmp_path / "old.py").write_text("kept")
    done = evolgrid("plugin", "new", "metric", name, folder=tmp_path)
    assert done.returncode == 2 and done.stderr.startswith(told)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["kept"]
