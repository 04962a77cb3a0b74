"""Renders the reference of the Python package: every public name, by the docstrings of what it stands for."""

from __future__ import annotations

import inspect

from pydantic import BaseModel

import evolgrid
from pipelines.study.file.json_schema import schema


def python_reference() -> str:
    """Return the page (Markdown with directives of mkdocstrings), in the order of use: functions, classes, errors."""
    summary, _, example = (evolgrid.__doc__ or "").partition("\n\n")
    blocks = {*schema()["$defs"], "StudySpec"}
    names = [name for name in evolgrid.__all__ if not name.startswith("_")]
    found = {name: getattr(evolgrid, name) for name in names}
    written = [name for name, value in found.items() if _is_block(value) and name in blocks]
    errors = [name for name, value in found.items() if inspect.isclass(value) and issubclass(value, Exception)]
    others = sorted({*found} - {*written} - {*errors}, key=lambda name: (inspect.isclass(found[name]), name))
    parts = [f"# The Python package\n\n{summary}\n\n```python\n{example.strip()}\n```\n\n"]
    parts += [_directive(name, found[name]) for name in others]
    parts.append(
        "## Parts of a study\n\nA study can be written with these types, whose keys are those of the file.\n\n"
    )
    parts += [f"- `evolgrid.{name}`: [its keys](study.md#{_anchor(name)})\n" for name in written]
    parts.append("\n## Errors\n\n")
    parts += [_directive(name, found[name], level=3) for name in errors]
    return "".join(parts)


def _is_block(value: object) -> bool:
    return inspect.isclass(value) and issubclass(value, BaseModel)


def _anchor(name: str) -> str:
    return "the-file" if name == "StudySpec" else name.lower()


def _directive(name: str, value: object, level: int = 2) -> str:
    """Return a heading with the public name, and the docstring of what it stands for."""
    module, own = getattr(value, "__module__", ""), getattr(value, "__qualname__", "")
    options = f"{{show_root_heading: false, show_root_toc_entry: false, heading_level: {level + 1}}}"
    heading = "#" * level
    return f"{heading} evolgrid.{name}\n\n::: {module}.{own}\n    options: {options}\n\n" if own else ""
