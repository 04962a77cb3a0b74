"""The worked examples of docs/extending.md as plug-ins: tests run the code of the document."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

from pipelines.study.plugins.active import activate
from pipelines.study.plugins.code import load_module, read_plugin

DOCUMENT = Path(__file__).parents[2] / "docs" / "extending.md"
BLOCK = re.compile(r"^```python\n# (\S+\.py)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def write_example(name: str, folder: Path) -> None:
    """Write the code block of docs/extending.md whose first line is `# NAME.py` to the file NAME.py in a folder.

    Raises:
        KeyError: There is no block with this name.
    """
    (folder / name).write_text(dict(BLOCK.findall(DOCUMENT.read_text()))[name])


def use_example(name: str, folder: Path) -> ModuleType:
    """Load an example as the only plug-in, as a study that names it does; return its module."""
    write_example(name, folder)
    code = read_plugin(name, folder)
    activate([code])
    return load_module(code)
