"""The roles of a study: every place that refers to a model, and whether the model writes or classifies there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, get_args

from pipelines.study.file.yaml_tree import Loc
from pipelines.study.spec.common.basics import OWN_BASE, ModelReference, StrictModel
from pipelines.study.spec.study import Study


@dataclass(frozen=True, slots=True)
class Role:
    """A place that names a model. A model that `classifies` gives logits, any other one reads and writes text."""

    loc: Loc
    model: str
    classifies: bool = False


def roles(study: Study) -> Iterator[Role]:
    """Yield all roles of a study: fields that name a model are marked by their types."""
    yield from _block_roles(study, ())


def needs_template(study: Study, role: Role) -> bool:
    """Return whether a model needs a chat template in this role.

    Students and models of reference answers get a plain one, scorers of raw text and NLI models read no conversations.
    """
    if role.loc[0] == "students":
        return any(scoring.scorer == OWN_BASE and scoring.form == "chat" for scoring in study.scoring)
    if role.loc[-1] in ("reference", "nli"):
        return False
    return role.loc[0] != "scoring" or study.scoring[int(role.loc[1])].form == "chat"


def _block_roles(block: StrictModel, loc: Loc) -> Iterator[Role]:
    for name, field in type(block).model_fields.items():
        reference = _find_reference((*field.metadata, field.annotation))
        for place, value in _values(getattr(block, name), (*loc, name)):
            if isinstance(value, StrictModel):
                yield from _block_roles(value, place)
            elif reference and value and not (reference.may_be_own and value == OWN_BASE):
                yield Role(place, value, reference.classifies)


def _values(value: Any, loc: Loc) -> Iterator[tuple[Loc, Any]]:
    """A field's value with its place, or those of a list."""
    if isinstance(value, list):
        yield from (((*loc, index), each) for index, each in enumerate(value))  # pyright: ignore[reportUnknownArgumentType]
    else:
        yield loc, value


def _find_reference(parts: Iterable[Any]) -> ModelReference | None:
    """The mark among a field's annotations, also within a list or beside None."""
    for part in parts:
        found = part if isinstance(part, ModelReference) else _find_reference(get_args(part))
        if found:
            return found
    return None
