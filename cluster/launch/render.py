"""Renders the text of a launch file from a description of the cluster (`evolgrid cluster render`)."""

from __future__ import annotations

from cluster.launch.clouds import LIBRARIES, ray_up
from cluster.launch.description import Description
from cluster.launch.kuberay import job_name, ray_cluster, ray_job
from cluster.launch.text import Target, dump, header

FILES = {"aws": "ray_config.yaml", "gcp": "ray_config.gcp.yaml"}
KUBERAY = """\
Written by `evolgrid cluster render kuberay`; change the description and render again.

  kubectl apply -f FILE                               # KubeRay 1.7 or newer must be installed
  kubectl get secret {name} -o jsonpath='{{.data.auth_token}}' | base64 -d  # the token
  kubectl port-forward service/{name}-head-svc 8265   # in another terminal: a tunnel to the head\
"""
JOB = """\
Written by `evolgrid cluster render kuberay --study ...`: a job with its own cluster, which is deleted after the job.

  kubectl apply -f FILE
  kubectl logs -f job/{name}
  kubectl replace --force -f FILE   # after it has finished: run it again; it resumes
  kubectl delete -f FILE            # stop it, or clean up after it\
"""


def render(cluster: Description, target: Target) -> str:
    """Return the launch file of a described cluster as text."""
    if target == "kuberay":
        return dump([ray_cluster(cluster)], KUBERAY.format(name=cluster.name))
    heading = header(target, LIBRARIES[target], FILES[target])
    return dump([ray_up(cluster, target)], heading)


def render_job(cluster: Description, study: str, name: str, text: str, store: str) -> str:
    """Return the launch file of a Kubernetes job that runs a study on its own cluster.

    The launch file contains the study's file. Everything that this file refers to (seed files, models) must be in the
    image or at a URL.
    """
    return dump(ray_job(cluster, study, name, text, store), JOB.format(name=job_name(cluster, study)))
