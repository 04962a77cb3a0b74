"""Reads the options of an engine: names and types are those of its defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from actors.engine import EngineSpec, OptionValue

Option = str | int | float | bool
_BATCHES: dict[str, Option] = {"max_batch": 32, "max_batch_tokens": 16384}
TRANSFORMERS_OPTIONS: dict[str, Option] = {**_BATCHES, "lora": False, "max_loras": 8}
CLASSIFIER_OPTIONS: dict[str, Option] = {**_BATCHES, "reward_index": -1}
_TYPES = {
    **{str: "a text", int: "a whole number", float: "a number", bool: "true or false"},
    **{dict: "a mapping", list: "a list"},
}


def parse_options(spec: EngineSpec, **defaults: OptionValue) -> dict[str, Any]:
    """Return the engine's options, with `defaults` for those that are not given.

    Raises:
        ValueError: The engine does not have an option, or its value has another type (an int is valid for a float).
    """
    given = dict(spec.options)
    for name, value in given.items():
        if problem := option_error(spec.engine, name, value, defaults):
            raise ValueError(problem)
    return defaults | given


def option_error(engine: str, name: str, value: OptionValue, defaults: Mapping[str, OptionValue]) -> str | None:
    """Return what is wrong with an option of an engine with these defaults, or None."""
    if name not in defaults:
        return f"engine {engine!r} has no option {name!r}; it has {', '.join(sorted(defaults))}"
    expected = type(defaults[name])
    if type(value) is not expected and not (expected is float and type(value) is int):
        return f"engine {engine!r}: option {name!r} must be {_TYPES.get(expected, expected.__name__)}, not {value!r}"
    return None


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
