"""Values that are not written in a study: they are read from a file or an environment variable when they are needed."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SECRET_NAME = re.compile(r"auth|token|secret|cookie|signature|password|(^|[-_])(api[-_]?)?key$|^sig$", re.IGNORECASE)
_FORM = "'{file: PATH}', '{env: VARIABLE}' or, for a value that may be public, a plain text"


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a value is: in the file at the path `file`, or in the environment variable `env`. Both empty: nowhere.

    `option` is the engine's option that says so, for error messages.
    """

    file: str = ""
    env: str = ""
    option: str = ""

    @property
    def location(self) -> str:
        """A description of where the value is; empty if there is none."""
        if self.file:
            return f"the file {self.file}"
        return f"the environment variable {self.env}" if self.env else ""

    def read(self) -> str:
        """Return the value, empty if there is none.

        Raises:
            ValueError: The value is missing or malformed. The message names the file or variable, never its content.
        """
        if not self.location:
            return ""
        value = _read_file(Path(self.file)) if self.file else os.environ.get(self.env, "").strip()
        if not value:
            state = "is empty" if self.file else "is not set"
            raise ValueError(f"{self.location}, which option '{self.option}' names, {state}")
        if not (value.isascii() and value.isprintable()):  # otherwise the HTTP library's error would quote it
            raise ValueError(f"{self.location} contains characters that are not valid in an API key")
        return value


def parse_values(option: str, given: Mapping[str, Any]) -> dict[str, str | Secret]:
    """Return the values of a mapping of an engine's option (`headers` or `query`): plain texts, and secrets.

    Raises:
        ValueError: A value has another form, or is written in the study although its name says that it is secret.
    """
    return {name: _parse_value(option, name, value) for name, value in given.items()}


def _parse_value(option: str, name: str, value: Any) -> str | Secret:
    where = f"engine 'http': option '{option}', '{name}'"
    if isinstance(value, Mapping):
        found = {str(key): item for key, item in value.items()}  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        if (
            len(found) == 1
            and found.keys() <= {"file", "env"}
            and all(isinstance(item, str) for item in found.values())
        ):
            return Secret(**found, option=option)
        raise ValueError(f"{where} must be {_FORM}")
    if isinstance(value, list):
        raise ValueError(f"{where} must be {_FORM}")
    if _SECRET_NAME.search(name):
        remedy = f"put it into a file of mode 0600 and write '{name}: {{file: PATH}}'"
        raise ValueError(f"{where}: this value is a secret, which does not belong into a study: {remedy}")
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if not (text.isascii() and text.isprintable()):
        raise ValueError(f"{where} contains characters that are not valid in an address or a header")
    return text


def value_of(value: str | Secret) -> str:
    """Return a value that `parse_values` returned; a secret is read. Raises the errors of `Secret.read`."""
    return value.read() if isinstance(value, Secret) else value


def _read_file(path: Path) -> str:
    try:
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ValueError(f"the key file {path} is readable by other users: run 'chmod 600' on it")
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot read the key file {path}: {type(error).__name__}") from None
