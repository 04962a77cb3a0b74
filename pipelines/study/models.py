"""A model of the study as an engine: what it is (in keys) and how it is run (not in keys)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from actors.engine import EngineSpec
from actors.engines import resolve
from pipelines.store.fingerprint import hash_model
from pipelines.study.sources import NAMED, resolve_model_path
from pipelines.study.spec import Model


def identity(model: Model, folder: Path) -> dict[str, Any]:
    """Everything about a model that changes what it says. `folder` is the study file's."""
    return {
        "engine": resolve(model.engine, model.gpus),
        "dtype": model.dtype,
        "max_length": model.max_length,
        "options": model.options,
        "weights": _weights(model, folder),
    }


def _weights(model: Model, folder: Path) -> dict[str, Any]:
    path = resolve_model_path(model, folder)
    if model.engine in NAMED or not Path(path).is_dir():
        return {"name": model.source, "revision": model.revision}
    return {"sha256": hash_model(Path(path))}


def engine_spec(model: Model, folder: Path, path: str | None = None) -> EngineSpec:
    """How to start a model; `path` replaces its source (a trained checkpoint of it)."""
    engine = resolve(model.engine, model.gpus)
    options = model.options | model.runtime
    if engine == "vllm" and model.gpus > 1 and "pipeline_parallel_size" not in options:
        options = {"tensor_parallel_size": int(model.gpus)} | options
    return EngineSpec(
        engine=engine,
        model=path or resolve_model_path(model, folder),
        revision=None if path else model.revision,
        dtype=model.dtype,
        max_length=model.max_length,
        options=tuple(sorted(options.items())),
    )
