"""Looks up private names of libraries when they are used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from cluster.errors import ClusterError


def find_internal(module: str, name: str) -> Any:
    """Return the attribute `name` ("a.b") of a library's module, which is imported by this call.

    Raises:
        ClusterError: The installed version does not have this name.
    """
    library = import_module(module.partition(".")[0])
    try:
        found: Any = import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ClusterError(
            f"{library.__name__} {library.__version__} has no {module}.{name}, which evolgrid uses; install the "
            "version that evolgrid's pyproject.toml names"
        ) from error
    return found
