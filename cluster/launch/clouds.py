"""Renders the configuration of Ray's cluster launcher (`ray up`) for a cloud."""

from __future__ import annotations

from typing import Any

from cluster.launch import commands
from cluster.launch.description import Cloud, Description, Machine, Market, Worker
from cluster.resources.inventory import GIB
from cluster.resources.packing import ACCELERATOR

STORE_EXTRA: dict[Cloud, str] = {"aws": "s3", "gcp": "gcs"}
TASK_MEMORY_FRACTION = 0.7  # of a machine's memory: Ray keeps the rest for objects
LIBRARIES: dict[Cloud, tuple[str, ...]] = {
    "aws": ("boto3",),
    "gcp": ("google-api-python-client", "google-auth", "cryptography"),
}


def ray_up(cluster: Description, cloud: Cloud) -> dict[str, Any]:
    """Return the launcher's configuration of a described cluster."""
    return {
        "cluster_name": cluster.name,
        "max_workers": cluster.max_workers,
        "upscaling_speed": cluster.upscaling_speed,
        "idle_timeout_minutes": cluster.idle_minutes,
        "provider": _provider(cluster, cloud),
        "auth": {"ssh_user": "ubuntu"},
        "available_node_types": {"head": _head(cluster, cloud)} | _workers(cluster, cloud),
        "head_node_type": "head",
        "file_mounts": {commands.CODE_FOLDER: "."},
        "rsync_exclude": ["/.git", "/.venv"],
        "rsync_filter": [".gitignore"],
        "cluster_synced_files": [commands.TOKEN_FILE],
        "setup_commands": list(commands.setup(STORE_EXTRA[cloud])),
        "head_setup_commands": list(commands.head_setup(*LIBRARIES[cloud])),
        "head_start_ray_commands": list(commands.HEAD_START),
        "worker_start_ray_commands": list(commands.worker_start(cloud)),
    }


def _provider(cluster: Description, cloud: Cloud) -> dict[str, Any]:
    if cloud == "gcp":
        gcp = cluster.gcp
        return {"type": cloud, "region": gcp.region, "availability_zone": gcp.zone, "project_id": gcp.project}
    # the disk of a stopped node still costs money, and a spot node cannot be stopped
    zones = ",".join(cluster.aws.zones)
    return {"type": cloud, "region": cluster.aws.region, "availability_zone": zones, "cache_stopped_nodes": False}


def _head(cluster: Description, cloud: Cloud) -> dict[str, Any]:
    """Return the head's node type. It is an on-demand node, as the cluster cannot run without it.

    The head runs no tasks, because an overloaded head can bring the whole cluster down.
    """
    return {"max_workers": 0, "resources": {"CPU": 0}, "node_config": _node(cluster, cloud, cluster.head, "on_demand")}


def _workers(cluster: Description, cloud: Cloud) -> dict[str, Any]:
    return {
        f"{worker.name}_{market}": _worker(cluster, cloud, worker, market, most)
        for worker in cluster.workers
        for market, most in worker.markets()
    }


def _worker(cluster: Description, cloud: Cloud, worker: Worker, market: Market, max_workers: int) -> dict[str, Any]:
    """Return one worker node type. The autoscaler tries types with a higher priority first.

    If the cloud cannot deliver a type, the autoscaler skips it for some minutes.
    """
    min_workers = worker.least if market == "on_demand" else 0
    limits: dict[str, Any] = {"min_workers": min_workers, "max_workers": min(max_workers, cluster.max_workers)}
    limits |= {"priority": 1} if market == "spot" else {}
    limits |= {"idle_timeout_s": worker.idle_seconds} if worker.idle_seconds else {}
    return limits | {"resources": resources(worker), "node_config": _node(cluster, cloud, worker, market)}


def resources(machine: Machine) -> dict[str, int]:
    """Return a machine's Ray resources, which Ray must know before the first node of this type has started."""
    gpus = {"GPU": machine.gpus} if machine.gpus else {}
    memory = int(TASK_MEMORY_FRACTION * machine.memory_gib * GIB)
    return {"CPU": machine.cpus, "memory": memory} | gpus | accelerator(machine)


def accelerator(machine: Machine) -> dict[str, int]:
    """Return the resource by which Ray finds the GPUs of one type; empty for a machine without GPUs."""
    return {f"{ACCELERATOR}{machine.gpu}": 1} if machine.gpus else {}


def _node(cluster: Description, cloud: Cloud, machine: Machine, market: Market) -> dict[str, Any]:
    return _aws(cluster, machine, market) if cloud == "aws" else _gcp(cluster, machine, market)


def _aws(cluster: Description, machine: Machine, market: Market) -> dict[str, Any]:
    """Return the node configuration in the format of EC2's run_instances."""
    fast = {"Throughput": 1000, "Iops": 8000} if machine.fast_disk else {}
    disk = {"VolumeSize": machine.disk_gb, "VolumeType": "gp3"} | fast | {"DeleteOnTermination": True}
    profile = {"IamInstanceProfile": {"Name": cluster.aws.instance_profile}} if cluster.aws.instance_profile else {}
    return (
        profile
        | {
            "ImageId": cluster.aws.image,
            # requests forged by a model's code cannot read the node's credentials
            "MetadataOptions": {"HttpTokens": "required"},
            "InstanceType": machine.instances["aws"],
            "BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": disk}],
        }
        | ({"InstanceMarketOptions": {"MarketType": "spot"}} if market == "spot" else {})
    )


def _gcp(cluster: Description, machine: Machine, market: Market) -> dict[str, Any]:
    """Return the node configuration in the format of Compute Engine's instances.insert.

    Compute Engine cannot migrate running machines with GPUs.
    """
    spot = {"provisioningModel": "SPOT", "instanceTerminationAction": "DELETE"} if market == "spot" else {}
    moves = {"onHostMaintenance": "TERMINATE"} if machine.gpus or spot else {}
    disk_type = "pd-ssd" if machine.fast_disk else "pd-balanced"
    initial = {
        "diskSizeGb": machine.disk_gb,
        "diskType": f"zones/{cluster.gcp.zone}/diskTypes/{disk_type}",
        "sourceImage": cluster.gcp.image,
    }
    disk = {"boot": True, "autoDelete": True, "type": "PERSISTENT", "initializeParams": initial}
    node: dict[str, Any] = {"machineType": machine.instances["gcp"], "disks": [disk]}
    if account := cluster.gcp.service_account:
        node["serviceAccounts"] = [{"email": account, "scopes": ["https://www.googleapis.com/auth/cloud-platform"]}]
    return node | ({"scheduling": spot | moves} if spot or moves else {})
