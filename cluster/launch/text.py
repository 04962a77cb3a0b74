"""Writes launch files as YAML text, with explanations as comments."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, Literal

Target = Literal["aws", "gcp", "kuberay"]
WIDTH = 118
RAY_UP_HEADER = """\
Written by `evolgrid cluster render {cloud}`; change the description and render again. Run from the project's folder:

  pip install {libraries}
  ray up {file}                              # starts the head only; workers start on demand
  ray dashboard {file}                       # in another terminal: a tunnel to the head, at 127.0.0.1:8265
  evolgrid submit studies/quickstart.yaml --address http://127.0.0.1:8265 --store {store}
  ray down {file}                            # until then the head costs money

{image}
GPU nodes install vLLM at their first start, which takes minutes. To avoid this, create an image of a running GPU
worker and set it in the description: the setup commands below then find everything installed and do nothing.\
"""
IMAGES = {
    "aws": """\
Before the first start set `region` and, for that region, `image`: an Ubuntu 24.04 image with NVIDIA's driver.
  aws ssm get-parameter --query Parameter.Value --output text --name \\
    /aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id""",
    "gcp": """\
Before the first start set `project` and `image`: an Ubuntu 24.04 image with NVIDIA's driver, from the list of
  gcloud compute images list --project deeplearning-platform-release --filter="family~ubuntu-2404-nvidia" """.rstrip(),
}
STORES = {"aws": "s3://BUCKET/evolgrid", "gcp": "gs://BUCKET/evolgrid"}
REASONS = {
    "upscaling_speed": "a phase of a study requests many nodes at once, so do not start with one and double",
    "idle_timeout_minutes": "engines release their GPUs between phases; starting nodes again would cost more",
    "available_node_types": "`resources` are what Ray schedules on. Spot is tried first; a type that the cloud cannot "
    "deliver is skipped\nfor some minutes, so that its on-demand counterpart is used. The head runs no tasks.",
    "file_mounts": "this folder, without files that git ignores",
    "cluster_synced_files": "the head creates the cluster's token and the workers get it from the head; it is in none "
    "of your files.\nTo submit jobs from your machine: `ray exec FILE 'ray get-auth-token'`",
    "setup_commands": "each may run again at any time, so each first checks whether there is something to do",
    "head_start_ray_commands": "written out because Ray's defaults open the dashboard, which can run any code, to all "
    "networks,\nand because `ray start` enables authentication only on request",
}


def header(cloud: str, libraries: Sequence[str], file: str) -> str:
    """Return the introduction for users of a `ray up` file."""
    return RAY_UP_HEADER.format(
        cloud=cloud, libraries=" ".join(libraries), file=file, image=IMAGES[cloud], store=STORES[cloud]
    )


def dump(documents: Sequence[Mapping[str, Any]], heading: str = "", reasons: Mapping[str, str] = REASONS) -> str:
    """Return the YAML text of one or several documents, with `reasons` as comments above their top-level keys."""
    from ruamel.yaml import YAML, CommentedMap

    yaml = YAML()
    yaml.width = WIDTH
    yaml.indent(mapping=2, sequence=4, offset=2)
    ready: list[CommentedMap] = []
    for document in documents:
        mapped = CommentedMap(_plain(document))
        for key in [key for key in document if key in reasons]:
            mapped.yaml_set_comment_before_after_key(key, before="\n" + reasons[key])
        ready.append(mapped)
    buffer = io.StringIO()
    yaml.dump_all(ready, buffer)
    lines = [*(f"# {line}" for line in heading.splitlines()), *buffer.getvalue().splitlines()]
    return "".join(line.rstrip() + "\n" for line in lines)


def _plain(value: Any) -> Any:
    """Return a copy without shared objects, for which YAML would write anchors, and with multi-line text as blocks."""
    from ruamel.yaml.scalarstring import LiteralScalarString

    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return LiteralScalarString(value) if isinstance(value, str) and "\n" in value else value
