"""The number of parameters of a study's models, from their config.json or the size of their weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from actors.engines.registry import engine_info
from actors.model_folder.quantisation import ON_LOADING, bytes_per_weight, is_kept, kept_modules
from cluster.errors import ClusterError
from cluster.resources.model_architecture import Architecture, architecture, parameters_of
from pipelines.study.inputs.models import resolve_model_path
from pipelines.study.spec.common.model import Model


def known_architecture(model: Model, folder: Path) -> tuple[Architecture, int] | None:
    """Return the sizes of a model and the bytes per saved parameter; None without a usable config.json."""
    if not engine_info(model.engine, model.gpus).has_weights:
        return None
    config = model_config(resolve_model_path(model, folder), model.revision)
    if config is None:
        return None
    try:
        sizes = with_kept_modules(architecture(config), config)
    except ClusterError:
        return None  # its engine reports whether it can be loaded
    return sizes, 4 if (config.get("dtype") or config.get("torch_dtype")) == "float32" else 2


def with_kept_modules(sizes: Architecture, config: Mapping[str, Any]) -> Architecture:
    """Return the sizes with the modules that a quantised checkpoint keeps in 16 bit.

    Raises:
        ClusterError: There are such modules, and transformers does not know the architecture.
    """
    patterns = kept_modules(config)
    kept = parameters_of(config, lambda module: is_kept(module, patterns)) if patterns else 0
    return replace(sizes, unquantised=sizes.unquantised + kept)


def known_weight_bytes(model: Model, folder: Path) -> float | None:
    """Return the bytes of a quantised weight of a model; None if it is not quantised, or not known."""
    if chosen := ON_LOADING.get(str((model.options | model.runtime).get("quantization"))):
        return chosen
    return bytes_per_weight(model_config(resolve_model_path(model, folder), model.revision) or {})


@lru_cache(maxsize=64)
def model_config(source: str, revision: str | None) -> Mapping[str, Any] | None:
    """Return the config.json of a local folder or of a hub model, downloaded if necessary; None if unavailable."""
    path = Path(source) / "config.json"
    if not Path(source).is_dir():
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

        try:
            path = Path(hf_hub_download(source, "config.json", revision=revision, etag_timeout=5))
        except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError):
            return None
    return json.loads(path.read_text()) if path.is_file() else None


BYTES_PER_PARAMETER = 2


def known_active_parameters(model: Model, folder: Path) -> int | None:
    """Return the number of parameters active per token; None if unknown, 0 for engines without weights."""
    without = engine_info(model.engine, model.gpus).memory_model == "none"
    return active_parameters(model, folder) or (0 if without else None)


def parameters(model: Model, folder: Path) -> int:
    """Return the number of parameters; 0 if unknown.

    It is the study's, or that by the size of the weights (2 bytes each), or by config.json.
    """
    if model.parameters:
        return round(model.parameters)
    if found := _parameters(resolve_model_path(model, folder)):
        return found
    try:
        known = known_architecture(model, folder)
    except ClusterError:
        return 0
    return known[0].parameters if known else 0


def active_parameters(model: Model, folder: Path) -> int:
    """Return the number of parameters active per token, which is smaller than all in a mixture of experts."""
    try:
        known = known_architecture(model, folder)
    except ClusterError:
        known = None
    return known[0].active if known else parameters(model, folder)


@lru_cache(maxsize=256)
def _parameters(path: str) -> int:
    files = Path(path).glob("*.safetensors") if Path(path).is_dir() else []
    return sum(file.stat().st_size for file in files) // BYTES_PER_PARAMETER
