"""Launch files, checked without a cloud: by Ray's own schema, or by the schema that a Kubernetes cluster has."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cluster.errors import ClusterError
from cluster.launch.crds import Schemas

PLACEHOLDERS = ("YOUR-", "ami-00000000000000000")


def check_file(path: Path, schemas: Schemas) -> list[str]:
    """Problems of a launch file; `schemas` are those of KubeRay's kinds (see crds.py). Empty if all is well.

    ClusterError if the file is no YAML.
    """
    from ruamel.yaml import YAML, YAMLError

    try:
        documents = [document for document in YAML(typ="safe").load_all(path.read_text()) if document]
    except (OSError, YAMLError) as error:
        raise ClusterError(f"{path} can not be read: {error}") from error
    problems = [problem for document in documents for problem in check(document, schemas)]
    return problems + [f"'{text}' is still to be replaced" for text in sorted(_left(documents))]


def check(document: Mapping[str, Any], schemas: Schemas) -> list[str]:
    """Problems of one document; those of Kubernetes' own kinds, such as ConfigMap, are not looked for."""
    if "apiVersion" not in document:
        return _ray_up(document)
    kind = str(document.get("kind"))
    if kind in schemas:
        return _violations(document, schemas[kind])
    ours = str(document["apiVersion"]).startswith("ray.io/")
    return [f"kind: {kind} is none of {', '.join(sorted(schemas))}"] if ours else []


def _ray_up(document: Mapping[str, Any]) -> list[str]:
    """What Ray's launcher itself would refuse, but not what lies in `node_config`: that is the cloud's."""
    from jsonschema import ValidationError
    from ray.autoscaler._private.util import prepare_config, validate_config

    try:
        validate_config(prepare_config(copy.deepcopy(dict(document))))
    except ValidationError as error:
        return [f"{'.'.join(map(str, error.absolute_path)) or 'file'}: {error.message}"]
    except ValueError as error:
        return [str(error)]
    return []


def _violations(document: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    from jsonschema import Draft202012Validator

    errors = Draft202012Validator(schema).iter_errors(document)
    return [f"{document['kind']}: {'.'.join(map(str, error.absolute_path))}: {error.message}" for error in errors]


def _left(value: Any) -> set[str]:
    return {text for text in _texts(value) if any(mark in text for mark in PLACEHOLDERS)}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
