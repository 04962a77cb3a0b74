"""JSON schemas of KubeRay's kinds, from the definitions of a release or of an existing Kubernetes cluster."""

from __future__ import annotations

import copy
import gzip
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cluster.errors import ClusterError

Schemas = Mapping[str, Mapping[str, Any]]
RELEASED_CRDS_FILE = Path(__file__).with_name("kuberay_crds.json.gz")  # written by scripts/kuberay_crds.py
NAME_PATTERN = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"  # RFC 1035, for names of services and pods
# KubeRay's own limits: it appends suffixes to these names for services, pods and the clusters of jobs
MAX_NAME_LENGTHS = {"RayCluster": 53, "RayJob": 47}
# the fields of Kubernetes' ObjectMeta, which the definitions do not contain
METADATA_FIELDS = (
    *("annotations", "creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "finalizers"),
    *("generateName", "generation", "labels", "managedFields", "name", "namespace", "ownerReferences"),
    *("resourceVersion", "selfLink", "uid"),
)


def released_schemas() -> dict[str, dict[str, Any]]:
    """Return the schemas by kind of the KubeRay release that is bundled with evolgrid (see kuberay_crds.md)."""
    return _schemas(json.loads(gzip.decompress(RELEASED_CRDS_FILE.read_bytes()))["items"])


def read_schemas(path: Path) -> dict[str, dict[str, Any]]:
    """Return the schemas by kind of the definitions in a YAML file, as printed by `kubectl get crd`.

    Raises:
        ClusterError: The file cannot be read or has no such definitions.
    """
    from ruamel.yaml import YAML, YAMLError

    try:
        documents = list(YAML(typ="safe").load_all(path.read_text()))
        return _schemas(each for document in documents for each in document.get("items", [document]))
    except (OSError, YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ClusterError(
            f"{path} contains no definitions of ray.io/v1; write it with `kubectl get crd ... -o yaml`"
        ) from error


def _schemas(definitions: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return dict(crd_schema(each) for each in definitions)


def crd_schema(definition: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the kind of a CustomResourceDefinition and its schema (ray.io/v1), with unknown fields forbidden."""
    spec = definition["spec"]
    kind = spec["names"]["kind"]
    (version,) = (each for each in spec["versions"] if each["name"] == "v1")
    schema = copy.deepcopy(version["schema"]["openAPIV3Schema"])
    schema["properties"] |= {
        "apiVersion": {"const": f"{spec['group']}/v1"},
        "metadata": {
            "type": "object",
            "properties": {key: {} for key in METADATA_FIELDS} | {"name": _name_schema(kind)},
        },
    }
    _apply_kubernetes_rules(schema)
    return kind, schema


def _name_schema(kind: str) -> dict[str, Any]:
    return {"type": "string", "pattern": NAME_PATTERN, "maxLength": MAX_NAME_LENGTHS.get(kind, 63)}


def _apply_kubernetes_rules(schema: Any) -> None:
    """Express Kubernetes' own validation rules in JSON Schema. Changes `schema` in place.

    - Unknown fields are forbidden, unless the schema preserves them. A cluster would silently drop them.
    - Fields with a default are optional.
    - Where the schema allows it, numbers and strings are interchangeable.
    - Group names must follow the rules for pod names, as they become part of them.
    """
    if isinstance(schema, list):
        for each in schema:
            _apply_kubernetes_rules(each)
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "object":
        schema.setdefault("additionalProperties", bool(schema.get("x-kubernetes-preserve-unknown-fields")))
        fields = schema.get("properties", {})
        if "groupName" in fields:
            fields["groupName"] |= {"pattern": NAME_PATTERN, "maxLength": 63}
        schema["required"] = [name for name in schema.get("required", []) if "default" not in fields[name]]
    if schema.pop("x-kubernetes-int-or-string", False):
        schema.pop("anyOf", None)
        schema["type"] = ["integer", "string"]
    for each in list(schema.values()):
        _apply_kubernetes_rules(each)
