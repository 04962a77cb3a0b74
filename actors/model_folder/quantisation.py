"""Pre-quantised checkpoints: the method that a config.json names, the bytes of a weight, the package to load it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatch
from importlib.util import find_spec
from typing import Any, cast

SCALE_BYTES = 2  # of the 16-bit scale of each group of weights
# what transformers needs to load each method on this machine
_PACKAGES = {
    "awq": "gptqmodel",
    "gptq": "gptqmodel",
    "bitsandbytes": "bitsandbytes",
    "compressed-tensors": "compressed_tensors",
    "fbgemm_fp8": "fbgemm_gpu",
    "torchao": "torchao",
}
# methods of vLLM's option `quantization` that quantise a 16-bit checkpoint while it is loaded: bytes per weight
ON_LOADING = {"fp8": 1.0, "bitsandbytes": 0.5625}

# where the methods list the modules whose weights stay in 16 bit
_KEPT_LISTS = ("modules_to_not_convert", "ignore", "ignored_layers", "exclude_modules", "llm_int8_skip_modules")
_ENDS = ("lm_head", "embed_tokens", "re:.*lm_head")  # embeddings and output layers always stay in 16 bit


def quantisation(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the `quantization_config` of a config.json; empty if the checkpoint is not quantised."""
    found = config.get("quantization_config") or config.get("compression_config")
    return cast("Mapping[str, Any]", found) if isinstance(found, Mapping) else {}


def method(config: Mapping[str, Any]) -> str:
    """Return the method by its name in config.json; empty if the checkpoint is not quantised."""
    return str(quantisation(config).get("quant_method", "")).lower()


def bytes_per_weight(config: Mapping[str, Any]) -> float | None:
    """Return the bytes of a quantised weight with its share of scales and zero points; None if it is unknown."""
    settings, name = quantisation(config), method(config)
    if name == "bitsandbytes":
        return ON_LOADING["bitsandbytes"] if settings.get("load_in_4bit") else 1.0
    if "fp8" in name:
        return 1.0
    if name == "mxfp4":
        return 0.5 + 1 / 32
    if name == "compressed-tensors":
        groups = settings.get("config_groups") or {}
        settings = next((group.get("weights") or {} for group in groups.values()), {})
    bits = settings.get("bits") or settings.get("w_bit") or settings.get("num_bits")
    size = settings.get("group_size") or settings.get("q_group_size") or 0
    if not isinstance(bits, int):
        return None
    return bits / 8 + ((SCALE_BYTES + bits / 8) / size if isinstance(size, int) and size > 0 else 0)


def kept_modules(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the patterns of inner modules that a quantised checkpoint keeps in 16 bit."""
    settings = quantisation(config)
    patterns = [str(pattern) for name in _KEPT_LISTS for pattern in settings.get(name) or ()]
    return tuple(pattern for pattern in patterns if pattern not in _ENDS)


def is_kept(module: str, patterns: tuple[str, ...]) -> bool:
    """Return whether one of the patterns (`kept_modules`) matches a module or one that contains it.

    A pattern is the end, the beginning or another part of a dotted name, a name with `*`, or a regular expression after
    `re:`.
    """
    return any(_matches(pattern, module) for pattern in patterns)


def _matches(pattern: str, module: str) -> bool:
    if pattern.startswith("re:"):
        return re.match(pattern.removeprefix("re:"), module) is not None
    if "*" in pattern:
        return fnmatch(module, pattern) or fnmatch(module, f"{pattern}.*")
    return f".{pattern}." in f".{module}."


def missing_package(config: Mapping[str, Any]) -> str | None:
    """Return the package that transformers needs to load the checkpoint and that is not installed here, or None."""
    package = _PACKAGES.get(method(config))
    return package if package is not None and find_spec(package) is None else None
