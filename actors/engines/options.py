"""An engine's own settings: known by name, of the default's type."""

from __future__ import annotations

from collections.abc import Sequence

from actors.engine import EngineSpec

Option = str | int | float | bool


def parse_options(spec: EngineSpec, **defaults: Option) -> dict[str, Option]:
    """The engine's options with `defaults` for those not given.

    ValueError for an option that the engine does not have or that is of another type (an int will do for a float).
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
    """The place of the reward among a classifier's logits; None for several of which none is named (-1).

    ValueError if there is no such logit.
    """
    if index == -1:
        return 0 if len(labels) == 1 else None
    if not 0 <= index < len(labels):
        raise ValueError(f"reward_index {index}: the model has {len(labels)} logits: {', '.join(labels)}")
    return index
