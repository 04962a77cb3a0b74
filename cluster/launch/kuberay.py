"""Renders KubeRay's `RayCluster` and `RayJob` (ray.io/v1, KubeRay 1.7 or newer) for a described cluster."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from importlib.metadata import version
from typing import Any

from cluster.connection.jobs import STOP_TIMEOUT_VARIABLE
from cluster.launch.clouds import accelerator, resources
from cluster.launch.crds import MAX_NAME_LENGTHS, NAME_PATTERN
from cluster.launch.description import Description, Machine, Market, Worker
from cluster.resources.inventory import GIB, LAUNCHER_CONFIG_VARIABLE

API_VERSION = "ray.io/v1"
STUDY_FOLDER = "/study"
TERMINATION_GRACE_SECONDS = 60  # from SIGTERM to SIGKILL, to save all finished rows
TTL_AFTER_FINISHED_SECONDS = 300  # time from the end of a job to the deletion of its cluster
# replicas finish their requests; Ray removes the node as soon as it is idle
PRE_STOP_COMMAND = {
    "exec": {"command": ["sh", "-c", f"python -m cluster.notice now; sleep {TERMINATION_GRACE_SECONDS - 15}"]}
}
POD_FRACTION = 0.9  # of a node, for its single pod
HEAD_PORTS = {"gcs-server": 6379, "dashboard": 8265, "metrics": 8080}


def ray_cluster(cluster: Description) -> dict[str, Any]:
    """Return a RayCluster, which runs until it is deleted."""
    return {"apiVersion": API_VERSION, "kind": "RayCluster", "metadata": {"name": cluster.name}, "spec": _spec(cluster)}


def job_name(cluster: Description, study: str) -> str:
    """Return a valid KubeRay name for a study's job. If the study's name must be changed, a hash keeps names unique."""
    name = f"{cluster.name}-{study}"
    if len(name) <= MAX_NAME_LENGTHS["RayJob"] and re.fullmatch(NAME_PATTERN, name):
        return name
    digits = hashlib.sha256(study.encode()).hexdigest()[:6]
    start = re.sub(r"[^a-z0-9-]", "-", name)[: MAX_NAME_LENGTHS["RayJob"] - len(digits) - 1]
    return f"{start.rstrip('-')}-{digits}"


def ray_job(cluster: Description, study: str, file: str, text: str, store: str) -> list[dict[str, Any]]:
    """Return a ConfigMap with the study's file, and a RayJob with its own cluster, which is deleted after the job.

    Args:
        cluster: The description of the job's cluster.
        study: The study's name.
        file: The name of the study's file.
        text: The content of the study's file.
        store: A URL that all pods can reach.
    """
    name = job_name(cluster, study)
    files = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {file: text}}
    spec = _spec(cluster)
    pod = spec["headGroupSpec"]["template"]["spec"]
    pod["containers"][0]["volumeMounts"] = [{"name": "study", "mountPath": STUDY_FOLDER, "readOnly": True}]
    pod["volumes"] = [{"name": "study", "configMap": {"name": name}}]
    run = ["evolgrid", "run", f"{STUDY_FOLDER}/{file}", "--address", "auto", "--store", store, "--log", "store"]
    job = {
        "entrypoint": shlex.join(run),
        "submissionMode": "K8sJobMode",
        "activeDeadlineSeconds": cluster.kubernetes.job_hours * 3600,
        "backoffLimit": 2,  # if the cluster is lost, a new one resumes the study
        # not deletionRules: they do not cover stopped jobs, whose clusters would keep running
        "shutdownAfterJobFinishes": True,
        "ttlSecondsAfterFinished": TTL_AFTER_FINISHED_SECONDS,
        "rayClusterSpec": spec,
    }
    return [files, {"apiVersion": API_VERSION, "kind": "RayJob", "metadata": {"name": name}, "spec": job}]


def _spec(cluster: Description) -> dict[str, Any]:
    return {
        "rayVersion": version("ray"),
        "authOptions": {"mode": "token"},  # KubeRay creates the token as a secret with the cluster's name
        "enableInTreeAutoscaling": True,
        "autoscalerOptions": {
            "version": "v2",
            "upscalingMode": "Default",
            "idleTimeoutSeconds": cluster.idle_minutes * 60,
        },
        "headGroupSpec": _head(cluster),
        "workerGroupSpecs": [
            _group(cluster, worker, market, most) for worker in cluster.workers for market, most in worker.markets()
        ],
    }


def _head(cluster: Description) -> dict[str, Any]:
    container = _container(cluster, cluster.head, "ray-head")
    variables = {
        LAUNCHER_CONFIG_VARIABLE: json.dumps(_launcher_config(cluster)),
        STOP_TIMEOUT_VARIABLE: str(TERMINATION_GRACE_SECONDS),
    }
    container["env"] = [{"name": name, "value": value} for name, value in variables.items()]
    container["ports"] = [{"name": name, "containerPort": port} for name, port in HEAD_PORTS.items()]
    # the head runs no tasks: an overloaded head can bring the whole cluster down
    return {
        "serviceType": "ClusterIP",
        "rayStartParams": {"num-cpus": "0", "num-gpus": "0"},
        "template": {"spec": {"terminationGracePeriodSeconds": TERMINATION_GRACE_SECONDS, "containers": [container]}},
    }


def _launcher_config(cluster: Description) -> dict[str, Any]:
    """Return the nodes that may still start, for a run on the head, in the format of Ray's launcher."""
    workers = {worker.name: worker for worker in cluster.workers}
    counts = {name: min(kind.spot + kind.on_demand, cluster.max_workers) for name, kind in workers.items()}
    types = {
        name: {
            "resources": resources(kind) | {"CPU": _cpus(kind), "memory": _memory_gib(kind) * GIB},
            "max_workers": counts[name],
        }
        for name, kind in workers.items()
    }
    return {"max_workers": cluster.max_workers, "available_node_types": types}


def _cpus(machine: Machine) -> int:
    """Return the CPUs of a pod. The rest is for the node itself and for Kubernetes' own pods on every node."""
    return max(1, int(POD_FRACTION * machine.cpus))


def _memory_gib(machine: Machine) -> int:
    """Return the memory of a pod, all of which KubeRay reports to Ray."""
    return int(POD_FRACTION * machine.memory_gib)


def _ray_start(machine: Machine) -> dict[str, str]:
    """Return the parameters of `ray start`: custom resources, in the quotes that KubeRay removes.

    Ray's autoscaler reads them here. CPUs, GPUs and memory it takes from the container.
    """
    custom = accelerator(machine)
    escaped = json.dumps(custom).replace('"', '\\"')
    return {"resources": f'"{escaped}"'} if custom else {}


def _group(cluster: Description, worker: Worker, market: Market, max_replicas: int) -> dict[str, Any]:
    min_replicas = worker.least if market == "on_demand" else 0
    # Kubernetes allows no underscores in names
    group: dict[str, Any] = {"groupName": f"{worker.name}-{market}".replace("_", "-")}
    group |= {
        "replicas": min_replicas,
        "minReplicas": min_replicas,
        "maxReplicas": min(max_replicas, cluster.max_workers),
    }
    group |= {"priority": 1} if market == "spot" else {}
    group |= {"idleTimeoutSeconds": worker.idle_seconds} if worker.idle_seconds else {}
    return group | {"rayStartParams": _ray_start(worker), "template": {"spec": _worker_pod(cluster, worker, market)}}


def _worker_pod(cluster: Description, worker: Worker, market: Market) -> dict[str, Any]:
    selector = dict(cluster.kubernetes.spot_selector) if market == "spot" else {}
    if worker.gpu:
        selector[cluster.kubernetes.gpu_label] = cluster.kubernetes.gpu_labels.get(worker.gpu, worker.gpu)
    # providers taint such nodes, with the same keys as their labels, so that other pods stay away
    keys = [*cluster.kubernetes.spot_selector] if market == "spot" else []
    keys += ["nvidia.com/gpu"] if worker.gpus else []
    return {
        "terminationGracePeriodSeconds": TERMINATION_GRACE_SECONDS,
        "containers": [_container(cluster, worker, "ray-worker") | {"lifecycle": {"preStop": PRE_STOP_COMMAND}}],
        "nodeSelector": selector,
        "tolerations": [{"key": key, "operator": "Exists", "effect": "NoSchedule"} for key in keys],
    }


def _container(cluster: Description, machine: Machine, name: str) -> dict[str, Any]:
    gpus = {"nvidia.com/gpu": str(machine.gpus)} if machine.gpus else {}
    amount = {"cpu": str(_cpus(machine)), "memory": f"{_memory_gib(machine)}Gi"} | gpus
    disk = {"ephemeral-storage": f"{machine.disk_gb // 2}G"}
    # equal requests and limits: Ray takes the limits as the available resources
    return {
        "name": name,
        "image": cluster.kubernetes.image,
        "resources": {"limits": amount, "requests": amount | disk},
    }
