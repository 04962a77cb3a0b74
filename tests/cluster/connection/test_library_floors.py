"""Libraries with known vulnerabilities are rejected at startup, and cannot be installed with this project."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.version import Version

from cluster.connection.library_floors import MINIMUM_VERSIONS, check_versions
from cluster.connection.session import connect
from cluster.errors import ClusterError

PROJECT = Path(__file__).parents[3] / "pyproject.toml"


def test_what_is_installed_here_is_new_enough() -> None:
    check_versions()


@pytest.mark.parametrize("name", ["ray", "torch", "vllm"])
def test_an_old_library_is_told_with_its_holes_and_what_to_install(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    real = metadata.version
    monkeypatch.setattr(metadata, "version", lambda asked: "0.5.1+cpu" if asked == name else real(asked))
    floor, holes = MINIMUM_VERSIONS[name]
    with pytest.raises(ClusterError) as caught:
        check_versions()
    assert f"{name} 0.5.1+cpu" in str(caught.value) and holes in str(caught.value)
    assert f"pip install '{name}>={floor}'" in str(caught.value)


def test_no_session_starts_with_an_old_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setattr(metadata, "version", lambda name: "2.55.1")
    with pytest.raises(ClusterError, match=r"ray 2\.55\.1 is installed"), connect(None):
        pass


def test_the_project_asks_for_nothing_older() -> None:
    project = tomllib.loads(PROJECT.read_text())["project"]
    asked = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    least = {}
    for one in asked:
        if found := re.match(r"([a-z-]+)(?:\[.*?\])?[>=]=([\d.]+)", one):
            least[found[1]] = Version(found[2])
    for name in ("ray", "torch", "vllm"):
        assert least[name] >= Version(MINIMUM_VERSIONS[name][0])


@pytest.mark.parametrize("installed", ["2.55.1", "2.56.0rc1", "2.56.dev0+g1a2b3c"])
def test_what_came_before_the_release_is_older_than_it(monkeypatch: pytest.MonkeyPatch, installed: str) -> None:
    real = metadata.version
    monkeypatch.setattr(metadata, "version", lambda asked: installed if asked == "ray" else real(asked))
    with pytest.raises(ClusterError, match=f"ray {re.escape(installed)} is installed"):
        check_versions()


@pytest.mark.parametrize("installed", ["2.56", "2.56.0+cu130", "2.56.0.post1", "2.100.0"])
def test_a_build_of_the_release_is_new_enough(monkeypatch: pytest.MonkeyPatch, installed: str) -> None:
    real = metadata.version
    monkeypatch.setattr(metadata, "version", lambda asked: installed if asked == "ray" else real(asked))
    check_versions()
