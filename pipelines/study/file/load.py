"""Reads a study from a file or from Python values, validates it, and keeps the line number of every key of a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipelines.errors import InputError, combined
from pipelines.study.file.plugins import load_plugins
from pipelines.study.file.python_values import tree_of
from pipelines.study.file.repair import repaired
from pipelines.study.file.study_type import study_type
from pipelines.study.file.validation_errors import describe_validation_error
from pipelines.study.file.versions import check_version
from pipelines.study.file.yaml_tree import Loc, Tree, dotted_path, loc_in_file, nearest_loc_in_file, parse
from pipelines.study.spec.study import Study

MAX_BYTES = 1_000_000


@dataclass(frozen=True)
class LoadedStudy:
    """A valid study, the file it was read from, the folder of its relative paths, and the line numbers of its keys.

    The folder is absolute. A study that was written in Python has no file. `pins` are the commits that a lock file has
    given to names on the hub, by name@branch; None without a lock file.
    """

    study: Study
    path: Path | None
    folder: Path
    line_numbers: Mapping[Loc, int] = field(repr=False)
    pins: Mapping[str, str] | None = None

    @property
    def file(self) -> str | None:
        """The path of its file as text, for messages."""
        return None if self.path is None else str(self.path)

    @property
    def file_name(self) -> str:
        """The name of its file or, if it has none, of one that it could be saved to."""
        return self.path.name if self.path else f"{self.study.study}.yaml"

    def line_of(self, loc: Loc) -> int:
        """Return the line (from 1) of `loc`, or of its nearest parent that is written in the file."""
        return nearest_line(self.line_numbers, loc)

    def place(self, loc: Loc) -> str:
        """Return where `loc` is, for messages: its line in the file or, without a file, its dotted path."""
        return f"line {self.line_of(loc)}" if self.path else dotted_path(loc_in_file(loc, self.line_numbers))


def load(path: Path) -> LoadedStudy:
    """Read and validate a study, after its plug-ins are loaded. Those of the study that was loaded before are undone.

    Raises:
        InputError: For one mistake; InputErrors for several, with all that were found.
    """
    return _validated(_read_tree(path), path, path.absolute().parent)


def load_values(content: Mapping[str, Any], folder: Path) -> LoadedStudy:
    """Validate a study that was written in Python, as `load` does. Its relative paths are relative to `folder`.

    Raises:
        InputError: For one mistake; InputErrors for several, with all that were found.
    """
    tree = tree_of(content)
    check_version(tree, None)
    load_plugins(tree, folder, None)
    return _validated(tree, None, folder.absolute())


def load_with_mistakes(path: Path) -> tuple[LoadedStudy | None, list[InputError]]:
    """Return a study, corrected where its types are wrong, and the mistakes of its types; None if it is beyond that.

    Raises:
        InputError: The file cannot be read or parsed, or a plug-in has a mistake.
    """
    tree = _read_tree(path)
    mistakes: list[InputError] = []
    try:
        study = study_type().model_validate(tree.value)
    except ValidationError as error:
        mistakes = describe_validation_error(error, tree, str(path))
        try:
            study = study_type().model_validate(repaired(tree, error))
        except ValidationError:
            return None, mistakes
    return LoadedStudy(study, path, path.absolute().parent, tree.line_numbers), mistakes


def load_plugins_of(path: Path) -> None:
    """Load the plug-ins of a study file, whatever else is in it.

    Raises:
        InputError: The file cannot be read or is of another version, or a plug-in has a mistake.
    """
    _read_tree(path)


def _validated(tree: Tree, path: Path | None, folder: Path) -> LoadedStudy:
    try:
        study = study_type().model_validate(tree.value)
    except ValidationError as error:
        raise combined(describe_validation_error(error, tree, None if path is None else str(path))) from None
    return LoadedStudy(study, path, folder, tree.line_numbers)


def nearest_line(line_numbers: Mapping[Loc, int], loc: Loc) -> int:
    """Return the line of `loc` or of its nearest parent; 1 if none is known."""
    return line_numbers.get(nearest_loc_in_file(loc, line_numbers), 1)


def _read_tree(path: Path) -> Tree:
    """Return the content of a study file, and load its plug-ins."""
    tree = parse(_read_text(path), str(path))
    if not isinstance(tree.value, dict):
        raise _top_level_error(tree, path)
    check_version(tree, str(path))
    load_plugins(tree, path.parent, str(path))
    return tree


def _read_text(path: Path) -> str:
    file = str(path)
    if path.is_dir():
        raise InputError("is a folder, not a study file", file=file)
    try:
        with path.open("rb") as opened:
            data = opened.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise InputError("no such file", file=file) from None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read: {error}", file=file) from None
    if len(data) > MAX_BYTES:
        remedy = "A study file names its data files; it does not contain the data."
        raise InputError(f"is larger than {MAX_BYTES:,} bytes", file=file, remedy=remedy)
    return _decode(data, file)


def _decode(data: bytes, file: str) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"not UTF-8: byte 0x{data[error.start]:02x}"
        raise InputError(message, file=file, line=line, remedy="Save the file as UTF-8.") from None
    for line, content in enumerate(text.split("\n"), start=1):
        if bad := next((char for char in content if _is_control(char)), None):
            raise InputError(f"contains the control character U+{ord(bad):04X}", file=file, line=line)
    return text


def _is_control(char: str) -> bool:
    """Return whether a character is not printable in YAML 1.2 (section 5.1)."""
    if "\x7f" <= char <= "\x9f":
        return char != "\x85"
    return (char < " " and char not in "\t\r") or char in "\ufffe\uffff"


def _top_level_error(tree: Tree, path: Path) -> InputError:
    remedy = "The first lines could be 'study: my-study' and 'seeds:'."
    if tree.value is None:
        return InputError("is empty", file=str(path), remedy=remedy)
    kind = "a list" if isinstance(tree.value, list) else "a single value"
    line = tree.line_numbers.get((), 1)
    return InputError(f"is {kind}, not a mapping of keys to values", file=str(path), line=line, remedy=remedy)
