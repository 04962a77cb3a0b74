"""The type of a study file: `Study`, with the keys that plug-ins add to it and to its blocks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, cast, get_args, get_origin

from pydantic import Field, create_model
from pydantic.fields import FieldInfo

from pipelines.study.plugins.active import on_change
from pipelines.study.spec.common.basics import StrictModel
from pipelines.study.spec.evaluation.benchmarks import Benchmark
from pipelines.study.spec.instructions.evolution import Evolution
from pipelines.study.spec.pairs.selection import Selection
from pipelines.study.spec.study import Study

BLOCKS: dict[str, type[StrictModel]] = {
    "study": Study,
    "evolution": Evolution,
    "selection": Selection,
    "benchmarks": Benchmark,
}
"""The blocks to which plug-ins add keys, by their names in a study file; "study" is the top level."""


@dataclass(frozen=True, slots=True)
class SettingSpec:
    """A key that a plug-in adds to a block. Without a value in the file, it is None."""

    type: Any
    about: str


SETTINGS: dict[tuple[str, str], SettingSpec] = {}
"""The keys of plug-ins, by block and name."""


@cache
def study_type() -> type[Study]:
    """Return the type of the study files of this process's plug-ins."""
    extended = {block: _extended(block) for block in BLOCKS if block != "study"}
    changed = {BLOCKS[block]: found for block, found in extended.items() if found is not BLOCKS[block]}
    fields = {name: _replaced(field, changed) for name, field in Study.model_fields.items()}
    fields = {name: field for name, field in fields.items() if field is not None} | _own_fields("study")
    return cast(type[Study], _subclass(Study, fields)) if fields else Study


on_change(study_type.cache_clear)


def _extended(block: str) -> type[StrictModel]:
    fields = _own_fields(block)
    return _subclass(BLOCKS[block], fields) if fields else BLOCKS[block]


def _own_fields(block: str) -> dict[str, Any]:
    return {
        name: (spec.type | None, Field(default=None, description=spec.about))
        for (of, name), spec in SETTINGS.items()
        if of == block
    }


def _subclass(base: type[StrictModel], fields: dict[str, Any]) -> type[StrictModel]:
    return create_model(base.__name__, __base__=base, __module__=base.__module__, __doc__=base.__doc__, **fields)


def _replaced(field: FieldInfo, changed: dict[type[StrictModel], type[StrictModel]]) -> Any:
    """Return the definition of a field whose type has other blocks in it; None if nothing changes."""
    kind = _replace_in_type(field.annotation, changed)
    return (kind, field) if kind is not field.annotation else None


def _replace_in_type(kind: Any, changed: dict[type[StrictModel], type[StrictModel]]) -> Any:
    if isinstance(kind, type) and get_origin(kind) is None:
        return changed.get(kind, kind)
    if get_origin(kind) is list:
        (item,) = get_args(kind)
        found = _replace_in_type(item, changed)
        return kind if found is item else list[found]
    return kind
