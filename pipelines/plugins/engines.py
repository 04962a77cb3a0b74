"""An engine, which a plug-in adds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from actors.engines.registry import AUTO_ENGINE, ENGINES, EngineInfo
from pipelines.study.plugins.addition import Entry, NamedAddition, check_function, check_type
from pipelines.study.plugins.code import PluginMistake


@dataclass(frozen=True)
class EngineKind(NamedAddition):
    """An engine. `name` is what the `engine` of a model says, and `info` what checks, plans and replicas must know."""

    what: ClassVar[str] = "engine"

    info: EngineInfo

    def __post_init__(self) -> None:
        super().__post_init__()
        check_type(self.info, EngineInfo, "'info' of an engine")
        if not isinstance(self.info.loader, str):
            check_function(self.info.loader, "'loader' of an engine", "spec")
        if self.name == AUTO_ENGINE:
            raise PluginMistake(f"an engine cannot be named '{AUTO_ENGINE}'")

    def entries(self) -> Iterator[Entry]:
        yield Entry(ENGINES, self.name, self.info)
