"""The models of a study as pools: what each one needs, and which of them are in memory when."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from actors.serving.residency import Part, Stage
from actors.serving.spec import Share, Terms
from cluster.errors import ClusterError
from cluster.resources.inventory import Inventory
from cluster.resources.placement import check_fits
from pipelines.planning.model_size import BYTES_PER_PARAMETER, parameters
from pipelines.planning.requests import sizes
from pipelines.study.graph.fingerprint import fingerprint
from pipelines.study.graph.identities import identity
from pipelines.study.inputs.models import engine_spec
from pipelines.study.spec.model import Model
from pipelines.study.spec.study import Study

# requests at one replica: more than an engine works on at once, so that requests and answers travel in bulk
IN_FLIGHT = {"transformers": 64, "vllm": 512, "classifier": 64, "http": 128, "scripted": 256}
PLACEMENT = {"runtime", "cpus", "gpus", "accelerator", "replicas", "max_replicas", "in_flight"}
SLEEPING_SHARE = 0.5  # of all memory, for the weights of models that sleep


def terms(model: Model, name: str, folder: Path, path: str | None = None) -> Terms:
    """How to run a model as a pool of this name; `path` replaces its weights by a trained checkpoint's."""
    spec = engine_spec(model, folder, path)
    most = max(model.replicas, model.max_replicas or 0)
    in_flight = model.in_flight or IN_FLIGHT[spec.engine]
    return Terms(spec, name, Share(model.cpus, model.gpus, model.accelerator), model.replicas, most, in_flight)


def stage(study: Study, folder: Path, run: str, here: Inventory) -> Stage:
    """The stage for a study's models. `run` names what belongs to this run alone."""
    parts = {name: _part(name, model, folder, run) for name, model in study.models.items()}
    return Stage(parts, int(SLEEPING_SHARE * here.memory_bytes))


def check_room(study: Study, names: Collection[str], here: Inventory) -> None:
    """Raise ClusterError for a model that the cluster could not hold even alone. Models that fit take turns."""
    for misfit in check_fits([sizes(study)[name] for name in sorted(names)], here):
        raise ClusterError(misfit)


def _part(name: str, model: Model, folder: Path, run: str) -> Part:
    weights = parameters(model, folder) * BYTES_PER_PARAMETER * model.replicas
    if not model.shared:
        return Part(terms(model, f"{run}/{name}", folder), False, weights)
    # by content, so that equal models meet whatever a study calls them, and changed weights do not
    described = fingerprint([identity(model, folder), model.model_dump(include=PLACEMENT)])
    return Part(terms(model, f"shared/{described[:16]}", folder), True, weights)
