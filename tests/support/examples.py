"""The worked examples of docs/extending.md as modules: tests run the code of the document."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import pytest

from prompts import catalog

DOCUMENT = Path(__file__).parents[2] / "docs" / "extending.md"
TEMPLATE = re.compile(r"`(\w+)\.md`[^`]*```text\n(.*?)^```", re.DOTALL | re.MULTILINE)
BLOCK = re.compile(r"^```python\n# (\S+\.py)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def example(name: str) -> ModuleType:
    """Return the code block of docs/extending.md whose first line is `# NAME.py`, as a module that has been run.

    Raises:
        KeyError: There is no block with this name.
    """
    blocks = dict(BLOCK.findall(DOCUMENT.read_text()))
    module = ModuleType(name.removesuffix(".py"))
    code = compile(blocks[name], f"{DOCUMENT}:{name}", "exec", dont_inherit=True)  # its annotations are no strings
    exec(code, module.__dict__)
    return module


def add_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add the prompts of docs/extending.md to the catalog: blocks of text after a name that ends in `.md`."""
    for prompt, content in TEMPLATE.findall(DOCUMENT.read_text()):
        monkeypatch.setitem(catalog.catalog(), prompt, catalog.parse_template(prompt, content))
