"""Ships evolgrid's code to the workers of a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

PACKAGES = ("evolgrid", "prompts", "cluster", "actors", "pipelines", "bundled")


def package_code(modules: Sequence[str] = ()) -> dict[str, Any]:
    """Return a Ray runtime environment in which this process's evolgrid takes precedence over an installed one.

    `modules` are paths of more packages, or of modules of one file, for the workers to import.

    The code is also shipped to nodes that have evolgrid installed: step keys refer to the driver's code, so all workers
    must run the same version. Libraries are not shipped and must be installed on the nodes. Ray uploads a package only
    if its content has changed.
    """
    ours = (str(_folder(name)) for name in PACKAGES)
    return {"py_modules": [*dict.fromkeys((*ours, *modules))], "excludes": ["__pycache__"]}


def root() -> Path:
    """Return the folder from which this process imports evolgrid: a checkout, or an environment's site-packages."""
    return _folder("cluster").parent


def _folder(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"package {package} is not installed")
    return Path(spec.origin).parent
