"""Identities for step keys: everything about a model, a benchmark or an encoder that changes results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from actors.engines.registry import engine_info, resolve
from actors.inference.embedder import packaged_model_folder
from actors.inference.templates.template_text import DATE, DEFAULT_DATE
from bundled.world import WORLD_VERSION
from pipelines.study.graph.steps.fingerprint import hash_file, hash_model
from pipelines.study.inputs.encoders import encoder_spec
from pipelines.study.inputs.models import drafted_options, read_template, resolve_model_path
from pipelines.study.inputs.references import find_benchmark, reference_label
from pipelines.study.plugins.active import versions
from pipelines.study.spec.common.model import Model
from pipelines.study.spec.evaluation.benchmarks import Benchmark
from pipelines.study.spec.pairs.scoring import Diversity
from pipelines.study.spec.study import Study


def data_identity(bench: Benchmark, folder: Path) -> dict[str, Any]:
    """Return the digests of a benchmark's files, or the name and revision of its data on the hub."""
    if bench.file is None:
        return {"hub": bench.lm_eval or bench.kind, "revision": bench.revision}
    shots = hash_file(folder / bench.shots_file) if bench.shots_file else None
    return {"items": _file_digests(folder / bench.file), "shots": shots}


def _file_digests(path: Path) -> str | dict[str, str]:
    if not path.is_dir():
        return hash_file(path)
    return {str(file.relative_to(path)): hash_file(file) for file in sorted(path.rglob("*")) if file.is_file()}


def encoder_identity(block: Diversity, folder: Path) -> dict[str, Any]:
    """Return everything about an encoder that changes its embeddings."""
    spec = encoder_spec(block, folder)
    path = packaged_model_folder(spec.source) or Path(spec.source)
    return {"sha256": hash_model(path)} if path.is_dir() else {"name": spec.source, "revision": spec.revision}


def model_identity(model: Model, folder: Path) -> dict[str, Any]:
    """Return everything about a model that changes its output. `folder` is the study file's."""
    engine = resolve(model.engine, model.gpus)
    plugins = versions(("engine", engine))
    return ({"plugins": plugins} if plugins else {}) | {
        "engine": engine,
        "dtype": model.dtype,
        "max_length": model.max_length,
        "options": drafted_options(model, folder, hash_model),
        "chat_template": read_template(model, folder),
        "template": {DATE: DEFAULT_DATE} | model.template,
        "weights": _weights_identity(model, folder),
    }


def tokenizer_identity(model: Model, folder: Path) -> dict[str, Any]:
    """Return everything about a model that changes how its tokenizer splits texts: the files of its folder."""
    return _weights_identity(model, folder)


def _weights_identity(model: Model, folder: Path) -> dict[str, Any]:
    path = resolve_model_path(model, folder)
    if not engine_info(model.engine, model.gpus).has_weights or not Path(path).is_dir():
        return {"name": model.source, "revision": model.revision}
    return {"sha256": hash_model(Path(path))}


def reference_identity(study: Study, folder: Path, name: str) -> dict[str, Any]:
    """Return everything about a source of benchmark tasks that changes the overlaps found in it."""
    if benchmark := find_benchmark(study, name):
        if benchmark.world is None:
            return {"name": name, "data": data_identity(benchmark, folder), "limit": benchmark.limit}
        return {"name": name, "world": benchmark.world, "world_version": WORLD_VERSION, "seed": study.seed}
    return {"name": reference_label(study, name), "sha256": hash_file(folder / name)}
