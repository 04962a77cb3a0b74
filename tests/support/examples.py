"""The worked examples of docs/extending.md as modules: tests run the code as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

DOCUMENT = Path(__file__).parents[2] / "docs" / "extending.md"
BLOCK = re.compile(r"^```python\n# (\S+\.py)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def example(name: str) -> ModuleType:
    """Return the code block of docs/extending.md whose first line is `# NAME.py`, as a module that has been run.

    Raises:
        KeyError: There is no block of this name.
    """
    blocks = dict(BLOCK.findall(DOCUMENT.read_text()))
    module = ModuleType(name.removesuffix(".py"))
    exec(compile(blocks[name], f"{DOCUMENT}:{name}", "exec"), module.__dict__)
    return module
