"""A node installs what is missing of the tools that compile code on it, and nothing if all are there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cluster.launch.commands import setup

TOOLS = ("make", "cc", "c++")
# a Python with the header, or without
PYTHON = f"""#!{sys.executable}
import sys, sysconfig
sysconfig.get_path = lambda name: {{include!r}}
exec(sys.argv[2])
"""


@pytest.fixture
def include(tmp_path: Path) -> Path:
    """The folder of Python's headers."""
    folder = tmp_path / "include"
    folder.mkdir()
    (folder / "Python.h").touch()
    return folder


def installs(folder: Path, include: Path, *tools: str) -> list[str]:
    """Run the first command of the setup on a machine with these tools, and return what it runs as root."""
    path = folder / "bin"
    path.mkdir()
    scripts = dict.fromkeys(tools, "#!/bin/sh\n") | {
        "python3": PYTHON.format(include=str(include)),
        "sudo": f'#!/bin/sh\necho "$*" >> {folder}/log\n',
    }
    for name, text in scripts.items():
        (path / name).write_text(text)
        (path / name).chmod(0o755)
    subprocess.run(["/bin/sh", "-c", setup("s3")[0]], env={"PATH": str(path)}, check=True)
    return (folder / "log").read_text().splitlines() if (folder / "log").exists() else []


def test_a_node_with_everything_installs_nothing(tmp_path: Path, include: Path) -> None:
    assert installs(tmp_path, include, *TOOLS) == []


@pytest.mark.parametrize("missing", TOOLS)
def test_each_tool_that_is_missing_is_installed(tmp_path: Path, include: Path, missing: str) -> None:
    update, install = installs(tmp_path, include, *(tool for tool in TOOLS if tool != missing))
    assert update.endswith("update")
    assert install.endswith("install -y python3-venv python3-dev make gcc g++")


def test_a_python_without_its_header_is_completed(tmp_path: Path, include: Path) -> None:
    (include / "Python.h").unlink()
    assert len(installs(tmp_path, include, *TOOLS)) == 2
