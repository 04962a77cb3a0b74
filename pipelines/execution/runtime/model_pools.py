"""Derives the engine pools of a study's models: their resources, placement and residency."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from actors.engines.registry import ENGINES, engine_info
from actors.serving.residency import ModelResidency, ResidentModel
from actors.serving.spec import PoolSpec, ReplicaResources, load_timeout
from cluster.errors import ClusterError
from cluster.resources.inventory import Inventory, live_nodes
from cluster.resources.placement import check_fits
from pipelines.planning.model_size import BYTES_PER_PARAMETER, parameters
from pipelines.planning.requests import replica_requests
from pipelines.study.graph.steps.fingerprint import fingerprint
from pipelines.study.graph.steps.identities import model_identity
from pipelines.study.inputs.endpoints import server_needs
from pipelines.study.inputs.models import engine_spec
from pipelines.study.spec.common.model import Model
from pipelines.study.spec.study import Study

PLACEMENT_FIELDS = {"runtime", "cpus", "gpus", "accelerator", "replicas", "max_replicas", "in_flight"}
HOST = "models-on-servers"  # the process of all http models of a run, or of all that runs share
SLEEP_MEMORY_FRACTION = 0.5  # of a node's memory, for the weights of sleeping models


def pool_spec(model: Model, name: str, folder: Path, checkpoint: str | None = None) -> PoolSpec:
    """Return the spec of a pool called `name`. `checkpoint` replaces the model's weights by trained ones."""
    spec = engine_spec(model, folder, checkpoint)
    max_replicas = max(model.replicas, model.max_replicas or 0)
    max_ongoing_requests = model.in_flight or ENGINES[spec.engine].max_ongoing_requests(spec)
    return PoolSpec(
        spec,
        name,
        ReplicaResources(model.cpus, model.gpus, model.accelerator),
        model.replicas,
        max_replicas,
        max_ongoing_requests,
        load_timeout=model_load_timeout(model, folder),
    )


def model_load_timeout(model: Model, folder: Path) -> float:
    """Return how many seconds a replica's process may do nothing while it loads a model or a student trained from it.

    `folder` is the study file's folder.
    """
    return load_timeout(_weight_bytes(model, folder), model.gpus)


def _weight_bytes(model: Model, folder: Path) -> int:
    return parameters(model, folder) * BYTES_PER_PARAMETER


def residency(study: Study, folder: Path, run: str) -> ModelResidency:
    """Return the residency of a study's models. `run` is part of the names of pools that other runs do not share."""
    models = {name: _resident_model(study, name, folder, run) for name in study.models}
    return ModelResidency(models, _offload_limit)


def _offload_limit(node: str) -> int:
    """Return how many bytes of weights may be offloaded on a node, given by Ray's id; 0 if it has left."""
    nodes = live_nodes()
    return int(SLEEP_MEMORY_FRACTION * nodes[node].memory_bytes) if node in nodes else 0


def check_models_fit(study: Study, names: Collection[str], inventory: Inventory) -> None:
    """Check that each model fits into the cluster alone. Models that do not fit together are loaded in turn.

    Raises:
        ClusterError: If a model does not fit even alone.
    """
    for problem in check_fits([replica_requests(study)[name] for name in sorted(names)], inventory):
        raise ClusterError(problem)


def _resident_model(study: Study, name: str, folder: Path, run: str) -> ResidentModel:
    model = study.models[name]
    weights = _weight_bytes(model, folder)
    if not model.shared:
        own = _hosted(pool_spec(model, f"{run}/{name}", folder), run)
        own = replace(own, spec=replace(own.spec, needs=server_needs(study, name)))
        return ResidentModel(own, False, weights)
    # named by content: studies share equal models under any name, and changed weights get another pool
    described = fingerprint([model_identity(model, folder), model.model_dump(include=PLACEMENT_FIELDS)])
    return ResidentModel(_hosted(pool_spec(model, f"shared/{described[:16]}", folder), "shared"), True, weights)


def _hosted(spec: PoolSpec, owner: str) -> PoolSpec:
    """Return the spec of the same pool, in one process with others of this owner if its model is on a server."""
    remote = engine_info(spec.spec.engine).memory_model == "remote"
    return replace(spec, host=f"{owner}/{HOST}") if remote else spec
