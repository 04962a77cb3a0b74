"""What a plug-in adds: a record of its own type for each kind of thing, which says the entries of evolgrid's tables."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from inspect import Parameter, currentframe, signature
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from pipelines.study.plugins.code import PluginMistake

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_OURS = str(Path(__file__).parents[2])


class Entry(NamedTuple):
    """One entry of a table."""

    table: dict[Any, Any]
    key: Hashable
    value: Any


class Addition(ABC):
    """One thing that a plug-in adds. `what` says what it is, `file` and `line` where the plug-in creates the record."""

    what: ClassVar[str]
    file: str
    line: int

    def __post_init__(self) -> None:
        file, line = _place_of_caller()
        object.__setattr__(self, "file", file)
        object.__setattr__(self, "line", line)
        if not _NAME.fullmatch(self.key):
            raise PluginMistake(f"'{self.key}' cannot be the name of a {self.what}")

    @property
    @abstractmethod
    def key(self) -> str:
        """The name by which studies and tables know it."""

    @abstractmethod
    def entries(self) -> Iterator[Entry]:
        """Yield the entries of the tables."""

    def problem(self) -> str | None:
        """Return what is wrong with it, once all entries of the study's plug-ins are in the tables; None if nothing."""
        return None


@dataclass(frozen=True)
class NamedAddition(Addition):
    """One thing that a plug-in adds under a name."""

    name: str

    @property
    def key(self) -> str:
        return self.name


def check_type(value: object, kind: type, what: str) -> None:
    """Check that a value of a record has a type.

    Raises:
        PluginMistake: It has another one.
    """
    if not isinstance(value, kind):
        raise PluginMistake(f"{what} must be of the type {kind.__name__}; here is {type(value).__name__}")


def check_class(value: object, base: type, what: str) -> None:
    """Check that a value of a record is a class with this base.

    Raises:
        PluginMistake: It is not.
    """
    if not (isinstance(value, type) and issubclass(value, base)):
        raise PluginMistake(f"{what} must be a class that inherits from {base.__name__}; here is {value!r}")


def check_function(function: Any, what: str, *arguments: str) -> None:
    """Check that something can be called with these positional arguments.

    Raises:
        PluginMistake: It cannot be called, or takes other arguments.
    """
    needed = f"{what} must be a function of ({', '.join(arguments)})"
    if not callable(function):
        raise PluginMistake(f"{needed}; here is {type(function).__name__}")
    try:
        found = signature(function)
        found.bind(*arguments)
    except TypeError:
        raise PluginMistake(f"{needed}; '{_name_of(function)}' takes {_taken(function)}") from None
    except ValueError:  # a function of an extension module, which has no signature
        return


def _taken(function: Callable[..., Any]) -> str:
    names = [name for name, each in signature(function).parameters.items() if each.kind is not Parameter.KEYWORD_ONLY]
    return f"({', '.join(names)})"


def _name_of(function: Any) -> str:
    return getattr(function, "__name__", type(function).__name__)


def _place_of_caller() -> tuple[str, int]:
    """Return the file, and the line outside of evolgrid and of generated code that is being executed."""
    frame = currentframe()
    while frame and frame.f_code.co_filename.startswith((_OURS, "<")):
        frame = frame.f_back
    return (frame.f_code.co_filename, frame.f_lineno) if frame else ("", 1)
