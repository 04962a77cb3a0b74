"""Loads a model's weights, and refuses a checkpoint that does not have exactly the weights that its config asks for.

transformers would fill missing weights with random numbers, and drop those that it does not know, with a log message.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any

from actors.engine import LoadError
from actors.model_folder.quantisation import method, quantisation

NAMED = 3  # the number of weights that an error names
# buffers that older checkpoints saved, and scales of quantised weights and caches
_NOT_WEIGHTS = re.compile(r"(inv_freq|masked_bias|attn\.bias|attention\.bias|position_ids|_scale|_zero_point)$")


def load_complete(auto: Any, model: str, **arguments: Any) -> tuple[Any, list[str]]:
    """Return the model of a transformers `auto` class, and the names of weights of other parts that it does not have.

    The generation settings of the folder are not read. Only safetensors are loaded, and never code from the folder.

    Raises:
        LoadError: Weights are missing, have another shape than the config says, or belong to layers or biases that
            the config does not have; or its quantisation is unknown.
        OSError: If there are no safetensors.
    """
    from transformers import GenerationConfig

    _check_quantisation(model, arguments.get("config"))
    loaded, report = auto.from_pretrained(
        model,
        **arguments,
        use_safetensors=True,
        trust_remote_code=False,
        generation_config=GenerationConfig(),
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # they are reported below, by name
    )
    unused = sorted(report["unexpected_keys"])
    if problem := _describe(report, unused, _own_weights(loaded, unused)):
        raise LoadError(model, problem)
    return loaded, unused


def first_names(names: Collection[str]) -> str:
    """Return the first few of the names, and how many there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(sorted(names)[:NAMED]) + more


def _check_quantisation(model: str, config: Any) -> None:
    """Raise LoadError for a method that transformers does not have: it would read the weights as if they were plain."""
    from transformers.quantizers.auto import AutoHfQuantizer

    settings = quantisation(config.to_dict()) if config is not None else {}
    name = method({"quantization_config": settings})
    if name and not AutoHfQuantizer.supports_quant_method(dict(settings)):
        remedy = "Use 'engine: vllm' or 'http', or weights that are not quantised"
        raise LoadError(model, f"transformers does not have its quantisation '{name}'. {remedy}")


def _describe(report: Any, unused: Collection[str], foreign: Collection[str]) -> str:
    """Return what is wrong with the weights; empty if nothing is."""
    if report["missing_keys"]:
        extra = f"; it has unknown weights for {first_names(unused)}" if unused else ""
        return f"the checkpoint has no weights for {first_names(report['missing_keys'])}{extra}"
    if report["mismatched_keys"]:
        name, found, expected = min(report["mismatched_keys"])
        count = len(report["mismatched_keys"])
        more = f" (and {count - 1} more weights differ)" if count > 1 else ""
        return f"{name} is {_shape(found)} in the checkpoint, but {_shape(expected)} by its config.json{more}"
    if report["error_msgs"]:
        return " ".join("; ".join(report["error_msgs"]).split())
    return f"the checkpoint has weights that its config.json does not: {first_names(foreign)}" if foreign else ""


def _shape(sizes: Iterable[int]) -> str:
    return " x ".join(str(size) for size in sizes) or "a single number"


def _own_weights(model: Any, unused: Iterable[str]) -> list[str]:
    """Return the names of unused weights that lie inside the loaded layers.

    The others are of parts that are not loaded: a vision tower, layers that predict further tokens, a reward head.
    """
    prefix = f"{model.base_model_prefix}."
    layers = {name.removeprefix(prefix) for name, _ in model.named_modules() if name != model.base_model_prefix}
    parts = {name: name.removeprefix(prefix).split(".") for name in unused if not _NOT_WEIGHTS.search(name)}
    return [name for name, path in parts.items() if any(".".join(path[:n]) in layers for n in range(1, len(path)))]
