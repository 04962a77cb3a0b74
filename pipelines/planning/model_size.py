"""How many parameters a model has, by its own configuration, the cluster's list or its name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from actors.engines.registry import engine_info
from cluster.errors import ClusterError
from cluster.resources.model_architecture import Architecture, architecture
from pipelines.study.inputs.models import resolve_model_path
from pipelines.study.spec.model import Model


def known_architecture(model: Model, folder: Path) -> tuple[Architecture, int] | None:
    """Sizes of a model and the bytes of one of its saved numbers; None without a config.json that tells them."""
    if not engine_info(model.engine, model.gpus).has_weights:
        return None
    config = model_config(resolve_model_path(model, folder), model.revision)
    if config is None:
        return None
    try:
        sizes = architecture(config)
    except ClusterError:
        return None  # its engine will say whether it can be loaded
    return sizes, 4 if (config.get("dtype") or config.get("torch_dtype")) == "float32" else 2


@lru_cache(maxsize=64)
def model_config(source: str, revision: str | None) -> Mapping[str, Any] | None:
    """The config.json of a local folder, or of a hub model if it was fetched before or can be now."""
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
    """The parameters that work on one token; None if they are not known, 0 for engines without any."""
    without = engine_info(model.engine, model.gpus).memory_model == "none"
    return active_parameters(model, folder) or (0 if without else None)


def parameters(model: Model, folder: Path) -> int:
    """A model's parameters by the size of its weights (2 bytes each), or by its config.json; 0 if neither is known."""
    if found := _parameters(resolve_model_path(model, folder)):
        return found
    try:
        known = known_architecture(model, folder)
    except ClusterError:
        return 0
    return known[0].parameters if known else 0


def active_parameters(model: Model, folder: Path) -> int:
    """The parameters that work on one token: fewer than all in a mixture of experts."""
    try:
        known = known_architecture(model, folder)
    except ClusterError:
        known = None
    return known[0].active if known else parameters(model, folder)


@lru_cache(maxsize=256)
def _parameters(path: str) -> int:
    files = Path(path).glob("*.safetensors") if Path(path).is_dir() else []
    return sum(file.stat().st_size for file in files) // BYTES_PER_PARAMETER
