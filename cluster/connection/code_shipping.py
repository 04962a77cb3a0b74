"""How our code reaches the workers of a cluster."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

PACKAGES = ("prompts", "cluster", "actors", "pipelines", "bundled")


def package_code() -> dict[str, Any]:
    """Return the Ray runtime environment that puts this process's own evolgrid before any installed one.

    The code is shipped even to nodes that have it: step keys speak of the driver's code, so no worker may run another
    version. Libraries are not shipped; nodes have them installed. Ray uploads each package once per content.
    """
    return {"py_modules": [str(_folder(name)) for name in PACKAGES], "excludes": ["__pycache__"]}


def root() -> Path:
    """Return the folder that this process imports evolgrid from: a checkout, or an environment's packages."""
    return _folder("cluster").parent


def _folder(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"package {package} is not installed")
    return Path(spec.origin).parent
