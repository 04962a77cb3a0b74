"""Sends values that refer to plug-ins to other processes: these load the plug-ins before they read the value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pipelines.study.plugins.active import activate, active_plugins, require
from pipelines.study.plugins.code import PluginCode
from pipelines.study.plugins.packages import top_path

T = TypeVar("T")
Unship = Callable[[tuple[PluginCode, ...], bytes], Any]


def modules_to_ship() -> list[str]:
    """Return the paths of the packages among this process's plug-ins, which workers on other machines must import."""
    return [str(top_path(code.module, code.path)) for code in active_plugins() if code.source is None]


class Shipped(Generic[T]):
    """A value that another process unpickles only after it has loaded this process's plug-ins."""

    def __init__(self, value: T) -> None:
        self.value = value

    def __reduce__(self) -> tuple[Unship, tuple[tuple[PluginCode, ...], bytes]]:
        from ray import cloudpickle

        dumps: Callable[[Any], bytes] = cloudpickle.dumps  # pyright: ignore[reportPrivateImportUsage]
        return _unship, (active_plugins(), dumps(self.value))


def _unship(codes: tuple[PluginCode, ...], data: bytes) -> Shipped[Any]:
    from ray import cloudpickle

    activate(codes)
    return Shipped(cloudpickle.loads(data))


@dataclass(frozen=True, slots=True)
class ShippedCode:
    """The code of a plug-in's engine, as a part of the spec of a replica."""

    code: PluginCode

    def load(self) -> None:
        """Add what the plug-in adds to this process's tables."""
        require(self.code)

    def describe(self, error: BaseException) -> str | None:
        """Return an error that this code has raised in one line with its file and line; None for other errors."""
        return self.code.describe(error)
