"""Assigns a bundled checkpoint to each model of a study: the same role, and a place by size."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pipelines.study.roles import roles
from pipelines.study.spec.common.model import Model
from pipelines.study.spec.study import Study

Part = Literal["writer", "base", "reward", "nli"]
_BILLIONS = re.compile(r"(?:(\d+)x)?(\d+(?:\.\d+)?)b\b", re.IGNORECASE)
_VERSION = re.compile(r"(\d+(?:\.\d+)?)")
_OF_METHODS = ("auto-evol-instruct", "autoif")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A bundled model, or weights on the way from one to another: `share` 0 is `start`, 1 is `end`."""

    start: str
    end: str
    share: float = 1.0

    @property
    def source(self) -> str:
        """The bundled model, or the folder of the weights relative to the miniature's file."""
        if self.share in (0.0, 1.0):
            return f"bundled:{self.end if self.share else self.start}"
        return f"models/{self.end}-{self.share:.3f}"

    @property
    def text(self) -> str:
        """What it is, in a few words."""
        if self.share in (0.0, 1.0):
            return self.source.removeprefix("bundled:")
        return f"{self.start} + {self.share:.3f} x ({self.end} - {self.start})"


Family = tuple[str, str]  # between which two bundled models its checkpoints are
# of each part: one family, or those of the smaller and of the larger half of the models
_FAMILIES: Mapping[Part, tuple[Family, ...]] = {
    "writer": (("tiny-1m-base", "tiny-1m-chat"), ("tiny-4m-base", "tiny-4m-chat")),
    "base": (("tiny-1m-base", "tiny-1m-chat"), ("tiny-4m-base", "tiny-4m-chat")),
    "reward": (("tiny-1m-chat", "tiny-1m-reward"),),
    "nli": (("tiny-1m-base", "tiny-1m-nli"),),
}
_FAMILY_OF_METHODS: Family = ("tiny-4m-chat", "tiny-4m-methods")
_SHARES: Mapping[Part, tuple[float, float]] = {
    "writer": (0.85, 1.0),
    "base": (0.0, 0.15),
    "reward": (0.9, 1.0),
    "nli": (0.9, 1.0),
}


_SHARES_OF_METHODS = (0.95, 1.0)  # with less, hardly any function of AutoIF passes its checks


def assigned_checkpoints(study: Study) -> dict[str, Checkpoint]:
    """Return the checkpoint of every model that is not only a judge of benchmarks or of difficulty."""
    parts = parts_of(study)
    found: dict[str, Checkpoint] = {}
    for part in _SHARES:
        names = sorted((name for name in parts if parts[name] == part), key=lambda name: size_of(name, study))
        methods = part == "writer" and any(one.method in _OF_METHODS for one in study.evolution)
        families, shares = ((_FAMILY_OF_METHODS,), _SHARES_OF_METHODS) if methods else (_FAMILIES[part], _SHARES[part])
        found |= _placed(names, families, shares)
    return {name: found[name] for name in study.models if name in found}


def parts_of(study: Study) -> dict[str, Part]:
    """Return the part of each model. Judges of benchmarks and of difficulty have none."""
    parts: dict[str, Part] = {}
    for role in roles(study):
        block = role.loc[0]
        judges = role.loc[-1] in ("judge", "model") and block in ("benchmarks", "judging")
        if judges:
            continue
        if role.classifies:
            parts[role.model] = "nli" if role.loc[-1] == "nli" else "reward"
        elif block in ("students", "scoring", "lengths") and not _is_instruct(study.models[role.model]):
            parts[role.model] = "base"
        else:
            parts.setdefault(role.model, "writer")
    return parts


def size_of(name: str, study: Study) -> tuple[float, float, str]:
    """Return a key that sorts models by size. Models behind an endpoint come last, by the number in their name."""
    model = study.models[name]
    if model.engine == "http":
        version = _VERSION.search(name)
        return (float("inf"), float(version[1]) if version else 0.0, name)
    found = _BILLIONS.search(model.source) or _BILLIONS.search(name)
    billions = float(found[1] or 1) * float(found[2]) if found else 0.0
    return (model.parameters / 1e9 if model.parameters else billions, 0.0, name)


def _is_instruct(model: Model) -> bool:
    return bool(re.search(r"instruct|chat|-it\b", model.source, re.IGNORECASE))


def _placed(names: Sequence[str], families: Sequence[Family], shares: tuple[float, float]) -> dict[str, Checkpoint]:
    """Place models, smallest first. All of them are different."""
    middle = len(names) // len(families) if len(families) > 1 else 0
    smaller = _between(names[:middle], families[0], shares)
    return smaller | _between(names[middle:], families[-1], shares)


def _between(names: Sequence[str], ends: Family, shares: tuple[float, float]) -> dict[str, Checkpoint]:
    low, high = shares
    step = (high - low) / max(1, len(names) - 1)
    first = low if len(names) > 1 or low == 0.0 else high
    return {name: Checkpoint(*ends, round(first + step * rank, 3)) for rank, name in enumerate(names)}
