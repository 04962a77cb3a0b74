"""KubeRay's `RayCluster` and `RayJob` (ray.io/v1, KubeRay 1.7 or newer) of a described cluster."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from importlib.metadata import version
from typing import Any

from cluster.connection.jobs import STOP_TIMEOUT_VARIABLE
from cluster.launch.clouds import resources
from cluster.launch.crds import MAX_NAME_LENGTHS, NAME_PATTERN
from cluster.launch.description import Description, Machine, Market, Worker
from cluster.resources.inventory import LAUNCHER_CONFIG_VARIABLE

API_VERSION = "ray.io/v1"
STUDY_FOLDER = "/study"
TERMINATION_GRACE_SECONDS = 60  # from SIGTERM to SIGKILL: what is finished is saved in that time
TTL_AFTER_FINISHED_SECONDS = 300  # a job's cluster is kept for so long when the job has ended
# replicas finish what they have; a node that is idle then goes at once
PRE_STOP_COMMAND = {
    "exec": {"command": ["sh", "-c", f"python -m cluster.notice now; sleep {TERMINATION_GRACE_SECONDS - 15}"]}
}
POD_FRACTION = 0.9  # of a node, for the one pod that it holds
HEAD_PORTS = {"gcs-server": 6379, "dashboard": 8265, "metrics": 8080}


def ray_cluster(cluster: Description) -> dict[str, Any]:
    """A cluster that stays until it is deleted."""
    return {"apiVersion": API_VERSION, "kind": "RayCluster", "metadata": {"name": cluster.name}, "spec": _spec(cluster)}


def job_name(cluster: Description, study: str) -> str:
    """A name that KubeRay takes for a study's job. Where it must differ from the study's, digits keep two apart."""
    name = f"{cluster.name}-{study}"
    if len(name) <= MAX_NAME_LENGTHS["RayJob"] and re.fullmatch(NAME_PATTERN, name):
        return name
    digits = hashlib.sha256(study.encode()).hexdigest()[:6]
    start = re.sub(r"[^a-z0-9-]", "-", name)[: MAX_NAME_LENGTHS["RayJob"] - len(digits) - 1]
    return f"{start.rstrip('-')}-{digits}"


def ray_job(cluster: Description, study: str, file: str, text: str, store: str) -> list[dict[str, Any]]:
    """A study as a job with a cluster of its own, which goes when the job ends, and the study's file as a ConfigMap.

    `study` is the study's name, `file` its file's and `text` the content; `store` a URL that all pods reach.
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
        "backoffLimit": 2,  # a new cluster continues where the last one was lost
        # not deletionRules: these know of no job that was stopped, whose cluster would stay and cost
        "shutdownAfterJobFinishes": True,
        "ttlSecondsAfterFinished": TTL_AFTER_FINISHED_SECONDS,
        "rayClusterSpec": spec,
    }
    return [files, {"apiVersion": API_VERSION, "kind": "RayJob", "metadata": {"name": name}, "spec": job}]


def _spec(cluster: Description) -> dict[str, Any]:
    return {
        "rayVersion": version("ray"),
        "authOptions": {"mode": "token"},  # KubeRay makes the token, as a secret with the cluster's name
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
    # no work: a full head takes the whole cluster down
    return {
        "serviceType": "ClusterIP",
        "rayStartParams": {"num-cpus": "0", "num-gpus": "0"},
        "template": {"spec": {"terminationGracePeriodSeconds": TERMINATION_GRACE_SECONDS, "containers": [container]}},
    }


def _launcher_config(cluster: Description) -> dict[str, Any]:
    """What a run on the head has to know of nodes that are not there yet, in the words of Ray's own launcher."""
    workers = {worker.name: worker for worker in cluster.workers}
    counts = {name: min(kind.spot + kind.on_demand, cluster.max_workers) for name, kind in workers.items()}
    types = {
        name: {"resources": resources(kind) | {"CPU": _cpus(kind)}, "max_workers": counts[name]}
        for name, kind in workers.items()
    }
    return {"max_workers": cluster.max_workers, "available_node_types": types}


def _cpus(machine: Machine) -> int:
    """Of a pod: the node itself, and what Kubernetes runs on every node, take the rest."""
    return max(1, int(POD_FRACTION * machine.cpus))


def _group(cluster: Description, worker: Worker, market: Market, max_replicas: int) -> dict[str, Any]:
    min_replicas = worker.least if market == "on_demand" else 0
    # Kubernetes allows no underscore in a name
    group: dict[str, Any] = {"groupName": f"{worker.name}-{market}".replace("_", "-")}
    group |= {
        "replicas": min_replicas,
        "minReplicas": min_replicas,
        "maxReplicas": min(max_replicas, cluster.max_workers),
    }
    group |= {"priority": 1} if market == "spot" else {}
    group |= {"idleTimeoutSeconds": worker.idle_seconds} if worker.idle_seconds else {}
    return group | {"rayStartParams": {}, "template": {"spec": _worker_pod(cluster, worker, market)}}


def _worker_pod(cluster: Description, worker: Worker, market: Market) -> dict[str, Any]:
    selector = dict(cluster.kubernetes.spot_selector) if market == "spot" else {}
    if worker.gpu:
        selector[cluster.kubernetes.gpu_label] = cluster.kubernetes.gpu_labels.get(worker.gpu, worker.gpu)
    # providers keep other pods off such nodes by taints with the same keys as their labels
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
    amount = {"cpu": str(_cpus(machine)), "memory": f"{int(POD_FRACTION * machine.memory_gib)}Gi"} | gpus
    disk = {"ephemeral-storage": f"{machine.disk_gb // 2}G"}
    # equal requests and limits: Ray takes what a limit says for what there is
    return {
        "name": name,
        "image": cluster.kubernetes.image,
        "resources": {"limits": amount, "requests": amount | disk},
    }
