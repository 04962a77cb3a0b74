"""Validates launch files offline, against Ray's own schema or the schemas of a Kubernetes cluster."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from cluster.errors import ClusterError
from cluster.launch.crds import Schemas
from cluster.launch.description import Cloud
from cluster.ray_internals import validate_launch_config

if TYPE_CHECKING:
    from jsonschema import ValidationError

PLACEHOLDERS = ("YOUR-", "ami-00000000000000000")


def check_file(path: Path, schemas: Schemas) -> list[str]:
    """Return the problems of a launch file, empty if it is valid. `schemas` are those of KubeRay's kinds (see crds.py).

    Raises:
        ClusterError: The file cannot be read or is not YAML.
    """
    from ruamel.yaml import YAML, YAMLError

    try:
        documents = [document for document in YAML(typ="safe").load_all(path.read_text()) if document is not None]
    except (OSError, YAMLError) as error:
        raise ClusterError(f"cannot read {path}: {error}") from error
    if not documents:
        return ["file: the file is empty"]
    problems = [problem for document in documents for problem in check(document, schemas)]
    return problems + [f"the placeholder '{text}' has not been replaced" for text in sorted(_remaining(documents))]


def check(document: Any, schemas: Schemas) -> list[str]:
    """Return the problems of one document. Kubernetes' own kinds, such as ConfigMap, are not checked."""
    if not isinstance(document, Mapping):
        return [f"file: expected a mapping of fields, found a {type(document).__name__}"]
    if "apiVersion" not in document:
        return _ray_up_problems(document)
    kind = str(document.get("kind"))
    if kind in schemas:
        return _violations(document, schemas[kind])
    ours = str(document["apiVersion"]).startswith("ray.io/")
    return [f"kind: unknown kind '{kind}'; known: {', '.join(sorted(schemas))}"] if ours else []


def _ray_up_problems(document: Mapping[str, Any]) -> list[str]:
    """Return what Ray's launcher would reject. It does not check `node_config`, which the cloud defines."""
    from jsonschema import Draft7Validator
    from ray import autoscaler

    schema = json.loads(Path(autoscaler.__file__).with_name("ray-schema.json").read_text())
    # before Ray adds its defaults, which assumes that the file is valid
    if errors := [_describe_error(error) for error in Draft7Validator(schema).iter_errors(document)]:
        return errors
    if (kind := document["provider"]["type"]) not in get_args(Cloud):
        return [f"provider.type: cannot check files for '{kind}', only those for {' and '.join(get_args(Cloud))}"]
    try:
        validate_launch_config(copy.deepcopy(dict(document)))
    except (ValueError, AssertionError) as error:
        return [f"file: {error}"]
    return []


def _describe_error(error: ValidationError) -> str:
    return f"{'.'.join(map(str, error.absolute_path)) or 'file'}: {error.message}"


def _violations(document: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    from jsonschema import Draft202012Validator

    errors = Draft202012Validator(schema).iter_errors(document)
    return [f"{document['kind']}: {_describe_error(error)}" for error in errors]


def _remaining(value: Any) -> set[str]:
    return {text for text in _strings(value) if any(mark in text for mark in PLACEHOLDERS)}


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each)
