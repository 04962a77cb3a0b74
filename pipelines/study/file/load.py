"""A study file from disk: read, checked against the types, and able to say which line says what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from pipelines.errors import InputError, combined
from pipelines.study.file.validation_errors import explain
from pipelines.study.file.yaml_tree import Loc, Tree, parse, written
from pipelines.study.spec.study import Study

MAX_BYTES = 1_000_000


@dataclass(frozen=True)
class Loaded:
    """A valid study, the file it came from, that file's folder (absolute), and the lines of its keys."""

    study: Study
    path: Path
    folder: Path
    lines: Mapping[Loc, int] = field(repr=False)

    def line_of(self, loc: Loc) -> int:
        """The line (from 1) of `loc`, or of the nearest place around it that the file writes out."""
        return nearest_line(self.lines, loc)


def load(path: Path) -> Loaded:
    """Read and validate a study. Raises InputError, or InputErrors with every mistake that was found."""
    tree = parse(_text(path), str(path))
    if not isinstance(tree.value, dict):
        raise _wrong_top(tree, path)
    try:
        study = Study.model_validate(tree.value)
    except ValidationError as error:
        raise combined(explain(error, tree, str(path))) from None
    return Loaded(study, path, path.absolute().parent, tree.lines)


def nearest_line(lines: Mapping[Loc, int], loc: Loc) -> int:
    """The line of `loc` or of its nearest parent; 1 where nothing around it is known."""
    return lines.get(written(loc, lines), 1)


def _text(path: Path) -> str:
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
        remedy = "A study names its data, it does not hold it."
        raise InputError(f"is larger than {MAX_BYTES:,} bytes", file=file, remedy=remedy)
    return _decoded(data, file)


def _decoded(data: bytes, file: str) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"not UTF-8: byte 0x{data[error.start]:02x}"
        raise InputError(message, file=file, line=line, remedy="Save the file as UTF-8.") from None
    for line, content in enumerate(text.split("\n"), start=1):
        if bad := next((char for char in content if _is_control(char)), None):
            raise InputError(f"holds the control character U+{ord(bad):04X}", file=file, line=line)
    return text


def _is_control(char: str) -> bool:
    """What YAML 1.2 does not count as printable (section 5.1)."""
    if "\x7f" <= char <= "\x9f":
        return char != "\x85"
    return (char < " " and char not in "\t\r") or char in "\ufffe\uffff"


def _wrong_top(tree: Tree, path: Path) -> InputError:
    remedy = "The first lines could be 'study: my-study' and 'seeds:'."
    if tree.value is None:
        return InputError("is empty", file=str(path), remedy=remedy)
    kind = "a list" if isinstance(tree.value, list) else "a single value"
    line = tree.lines.get((), 1)
    return InputError(f"is {kind}, not a mapping of keys to values", file=str(path), line=line, remedy=remedy)
