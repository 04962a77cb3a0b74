"""Loads the plug-ins that a study file names, before the file is validated."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from pipelines.errors import InputError, combined
from pipelines.study.file.yaml_tree import Loc, Tree, dotted_path, nearest_loc_in_file
from pipelines.study.plugins.active import activate
from pipelines.study.plugins.code import PluginCode, read_plugin


def load_plugins(tree: Tree, folder: Path, file: str | None) -> None:
    """Add to the tables what the plug-ins of a study add. Entries of a wrong type are left out.

    `folder` is that of the study's relative paths, `file` the study's file if it has one.

    Raises:
        InputError: A plug-in is missing, is named twice, or has a mistake.
    """
    problems: list[InputError] = []
    codes: list[PluginCode] = []
    for loc, reference in _references(tree.value):
        try:
            code = read_plugin(reference, folder)
            if code in codes:
                raise InputError("this plug-in is given twice")
            codes.append(code)
        except InputError as error:
            written = nearest_loc_in_file(loc, tree.line_numbers)
            line, key = tree.line_numbers.get(written, 1), dotted_path(written)
            problems.append(InputError(error.message, file=file, line=line, field=key, remedy=error.remedy))
    if problems:
        raise combined(problems)
    activate(codes)


def _references(value: Any) -> Iterator[tuple[Loc, str]]:
    given: Any = cast(dict[str, Any], value).get("plugins", []) if isinstance(value, dict) else []
    listed: list[Any] = given if isinstance(given, list) else [given]
    for index, each in enumerate(listed):
        if isinstance(each, str):
            yield ("plugins", index), each
