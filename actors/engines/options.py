"""Reads the options of an engine: names and types are those of its defaults."""

from __future__ import annotations

from collections.abc import Sequence

from actors.engine import EngineSpec

Option = str | int | float | bool


def parse_options(spec: EngineSpec, **defaults: Option) -> dict[str, Option]:
    """Return the engine's options, with `defaults` for those that are not given.

    Raises:
        ValueError: The engine does not have an option, or its value has another type (an int is valid for a float).
    """
    given = dict(spec.options)
    for name, value in given.items():
        if name not in defaults:
            raise ValueError(f"engine {spec.engine!r} has no option {name!r}; it has {', '.join(sorted(defaults))}")
        expected = type(defaults[name])
        if type(value) is not expected and not (expected is float and type(value) is int):
            raise ValueError(f"engine {spec.engine!r}: option {name!r} must be {expected.__name__}, not {value!r}")
    return defaults | given


def reward_index(index: int, labels: Sequence[str]) -> int | None:
    """Return the index of the reward among a classifier's logits; None if there are several and `index` is -1.

    Raises:
        ValueError: There is no such logit.
    """
    if index == -1:
        return 0 if len(labels) == 1 else None
    if not 0 <= index < len(labels):
        raise ValueError(f"reward_index {index}: the model has {len(labels)} logits: {', '.join(labels)}")
    return index
