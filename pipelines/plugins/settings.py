"""Keys of the study file, which a plug-in adds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from pydantic import TypeAdapter
from pydantic.errors import PydanticUserError

from pipelines.study.file.study_type import BLOCKS, SETTINGS, SettingSpec
from pipelines.study.plugins.addition import Entry, NamedAddition
from pipelines.study.plugins.code import PluginMistake
from pipelines.study.spec.common.basics import StrictModel
from pipelines.study.spec.instructions.evolution import KEYS_OF_METHOD

T = TypeVar("T")


@dataclass(frozen=True)
class Setting(NamedAddition):
    """A key of the study file.

    Attributes:
        name: The key.
        type: The type of its value: a class that inherits from `StrictModel`, a plain type, or `ModelName` for the name
            of one of the study's models.
        about: What it means, for editors and error messages.
        block: Where the key belongs: "study" (the top level), "evolution", "selection" or "benchmarks".
        method: The method of evolution that has the key, for a key of an `evolution` block.
    """

    what: ClassVar[str] = "setting"

    type: Any
    about: str
    block: str = "study"
    method: str = ""

    @property
    def key(self) -> str:
        return f"{self.block}.{self.name}"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.name.isidentifier():
            raise PluginMistake(f"the key '{self.name}' must be letters, digits and '_'")
        if self.block not in BLOCKS:
            raise PluginMistake(f"'block' of a setting must be one of {', '.join(BLOCKS)}; here is '{self.block}'")
        if self.name in BLOCKS[self.block].model_fields:
            raise PluginMistake(f"'{self.block}' has a key '{self.name}' already")
        if (self.block == "evolution") != bool(self.method):
            raise PluginMistake("a setting of the block 'evolution', and no other, names its 'method'")
        try:
            TypeAdapter(self.type)
        except PydanticUserError as error:
            raise PluginMistake(
                f"'type' of the setting '{self.name}' cannot be a value: {error.message.splitlines()[0]}"
            ) from None

    def entries(self) -> Iterator[Entry]:
        yield Entry(SETTINGS, (self.block, self.name), SettingSpec(self.type, self.about))

    def problem(self) -> str | None:
        if self.method and self.name not in KEYS_OF_METHOD.get(self.method, ()):
            return f"the method '{self.method}' does not have the key '{self.name}' among its 'keys'"
        return None


def setting(block: StrictModel, name: str, kind: type[T]) -> T | None:
    """Return the value of a plug-in's key in a study or in one of its blocks; None if the file does not give it."""
    value = getattr(block, name)
    assert value is None or isinstance(value, kind)
    return value
