"""Pack KubeRay's definitions for offline checks: `python scripts/kuberay_crds.py v1.7.0 FILE...`.

The files are `ray.io_rayclusters.yaml` and `ray.io_rayjobs.yaml` of that release, in ray-operator/config/crd/bases of
https://github.com/ray-project/kuberay (Apache-2.0). Kept is the schema of ray.io/v1, without its descriptions, which
are most of it. cluster/launch/kuberay_crds.md tells what was packed.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

TARGET = Path(__file__).parents[1] / "cluster" / "launch" / "kuberay_crds.json.gz"


def compact(definition: dict[str, Any]) -> dict[str, Any]:
    """A CustomResourceDefinition with its version v1 only, and no word of description."""
    spec = definition["spec"]
    (version,) = (each for each in spec["versions"] if each["name"] == "v1" and each["served"])
    schema = {"openAPIV3Schema": without_descriptions(version["schema"]["openAPIV3Schema"])}
    names = {"kind": spec["names"]["kind"]}
    return {"spec": {"group": spec["group"], "names": names, "versions": [{"name": "v1", "schema": schema}]}}


def without_descriptions(schema: Any, named: bool = False) -> Any:
    """A schema without its descriptions; `named` if its keys are names of fields, where "description" is one, too."""
    if isinstance(schema, list):
        return [without_descriptions(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: without_descriptions(value, named=key == "properties" and not named)
        for key, value in schema.items()
        if named or key != "description"
    }


def main(version: str, *files: str) -> None:
    """Write the definitions in these files as those of a release."""
    definitions = [compact(YAML(typ="safe").load(Path(file).read_text())) for file in files]
    text = json.dumps({"version": version, "items": definitions}, separators=(",", ":"), sort_keys=True)
    TARGET.write_bytes(gzip.compress(text.encode(), mtime=0))  # without the time: the same bytes each time
    print(f"{TARGET.name}: {len(definitions)} definitions of KubeRay {version}, {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])
