"""`evolgrid lock` against a stand-in of the hub: what is pinned, what is kept, and what plans say of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from aiohttp import web

from pipelines.api.loading import load_and_check
from pipelines.execution.submission import pack
from pipelines.study.graph.build import build
from tests.actors.engines.servers.in_thread import served
from tests.support.command_line import evolgrid

STUDY = """
study: pinned
seeds:
  - {name: mine, hub: org/seeds, revision: main}
models:
  small: {source: org/small, revision: main}
  other: {source: org/small, revision: v1}
  tiny: {source: "bundled:tiny-1m-chat"}
  fixed: {source: org/small, revision: 0123456789abcdef0123456789abcdef01234567}
responses: {teachers: [small, other, tiny, fixed]}
"""
FIRST, SECOND, SEEDS, V1 = ("a" * 40, "b" * 40, "c" * 40, "d" * 40)


@dataclass
class Hub:
    """Commits by (kind, name, revision), and the requests that were answered."""

    commits: dict[tuple[str, str, str], str] = field(
        default_factory=lambda: {
            ("models", "org/small", "main"): FIRST,
            ("models", "org/small", "v1"): V1,
            ("datasets", "org/seeds", "main"): SEEDS,
        }
    )
    asked: list[str] = field(default_factory=list[str])

    async def answer(self, request: web.Request) -> web.Response:
        kind, name = request.match_info["kind"], f"{request.match_info['org']}/{request.match_info['name']}"
        revision = request.match_info.get("revision", "main")
        self.asked.append(f"{name}@{revision}")
        if not any(known[:2] == (kind, name) for known in self.commits):
            return web.json_response({"error": "no"}, status=404, headers={"X-Error-Code": "RepoNotFound"})
        commit = self.commits.get((kind, name, revision))
        if commit is None:
            return web.json_response({"error": "no"}, status=404, headers={"X-Error-Code": "RevisionNotFound"})
        return web.json_response({"id": name, "sha": commit, "siblings": [], "tags": [], "private": False})


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    stand_in, app = Hub(), web.Application()
    app.router.add_get("/v1/api/{kind}/{org}/{name}", stand_in.answer)
    app.router.add_get("/v1/api/{kind}/{org}/{name}/revision/{revision}", stand_in.answer)
    with served(app) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        yield stand_in


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "study.yaml").write_text(STUDY)
    return tmp_path


def locked(folder: Path) -> dict[str, object]:
    return yaml.safe_load((folder / "study.lock").read_text())


def test_branches_are_pinned_and_the_study_may_name_them(folder: Path, hub: Hub) -> None:
    refused = evolgrid("plan", "study.yaml", folder=folder)
    assert refused.returncode == 2 and "evolgrid lock" in refused.stderr
    done = evolgrid("lock", "study.yaml", folder=folder)
    assert done.returncode == 0, done.stderr
    assert f"org/small main -> {FIRST[:12]} (new)" in done.stdout
    assert locked(folder) == {
        "lock": 1,
        "models": {"org/small": {"main": FIRST, "v1": V1}},
        "datasets": {"org/seeds": {"main": SEEDS}},
    }
    loaded = load_and_check(folder / "study.yaml", None)
    assert [loaded.study.models[name].revision for name in ("small", "other", "tiny")] == [FIRST, V1, None]
    assert loaded.study.seeds[0].revision == SEEDS
    told = evolgrid("plan", "study.yaml", folder=folder)
    assert told.returncode == 0, told.stderr
    assert f"Pinned by study.lock: org/small@main {FIRST[:12]}" in told.stdout
    assert evolgrid("validate", "study.yaml", folder=folder).returncode == 0


def test_commits_are_kept_until_an_update_and_are_part_of_the_keys(folder: Path, hub: Hub) -> None:
    evolgrid("lock", "study.yaml", folder=folder)
    before = keys(folder)
    hub.commits["models", "org/small", "main"] = SECOND
    hub.asked.clear()
    again = evolgrid("lock", "study.yaml", folder=folder)
    assert again.returncode == 0 and hub.asked == [] and "(" not in again.stdout
    assert keys(folder) == before
    updated = evolgrid("lock", "study.yaml", "--update", "org/small", folder=folder)
    assert f"org/small main -> {SECOND[:12]} (was {FIRST[:12]})" in updated.stdout
    assert "org/seeds@main" not in hub.asked
    assert keys(folder) != before


def keys(folder: Path) -> set[str]:
    loaded = load_and_check(folder / "study.yaml", None)
    return {*build(loaded.study, loaded.folder).steps}


def test_a_name_that_the_lock_file_lacks_is_said_with_its_line(folder: Path, hub: Hub) -> None:
    evolgrid("lock", "study.yaml", folder=folder)
    (folder / "study.yaml").write_text(
        STUDY.replace("other: {source: org/small, revision: v1}", "other: {source: org/b}")
    )
    for command in ("plan", "validate"):
        refused = evolgrid(command, "study.yaml", folder=folder)
        assert refused.returncode == 2
        assert (
            "study.yaml:7: models.other: 'org/b' at 'main' is not in study.lock. Run 'evolgrid lock" in refused.stderr
        )


def test_names_that_are_no_longer_in_the_study_leave_the_lock_file(folder: Path, hub: Hub) -> None:
    evolgrid("lock", "study.yaml", folder=folder)
    (folder / "study.yaml").write_text(STUDY.replace("revision: v1", f"revision: {V1}"))
    evolgrid("lock", "study.yaml", folder=folder)
    assert locked(folder)["models"] == {"org/small": {"main": FIRST}}
    text = STUDY.replace("revision: main", f"revision: {FIRST}").replace("revision: v1", f"revision: {V1}")
    (folder / "study.yaml").write_text(text)
    assert "Nothing to pin" in evolgrid("lock", "study.yaml", folder=folder).stdout
    assert not (folder / "study.lock").exists()


def test_the_lock_file_travels_with_a_submitted_study(folder: Path, hub: Hub, tmp_path: Path) -> None:
    evolgrid("lock", "study.yaml", folder=folder)
    (upload := tmp_path / "upload").mkdir()
    pack(load_and_check(folder / "study.yaml", None), upload)
    assert load_and_check(upload / "study.yaml", None).study.models["small"].revision == FIRST


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("org/seeds", "org/nothing", "the hub has no dataset 'org/nothing'"),
        ("revision: v1", "revision: v9", "'org/small' has no branch or tag 'v9'"),
    ],
)
def test_what_the_hub_does_not_have_is_one_line(folder: Path, hub: Hub, old: str, new: str, told: str) -> None:
    (folder / "study.yaml").write_text(STUDY.replace(old, new))
    refused = evolgrid("lock", "study.yaml", folder=folder)
    assert refused.returncode == 2 and told in refused.stderr and refused.stderr.count("\n") == 1
    assert not (folder / "study.lock").exists()


def test_a_hub_that_does_not_answer_is_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    refused = evolgrid("lock", "study.yaml", folder=folder)
    assert refused.returncode == 2 and "the hub does not answer" in refused.stderr and refused.stderr.count("\n") == 1


def test_mistakes_of_the_lock_file_and_of_updates_are_one_line(folder: Path, hub: Hub) -> None:
    unknown = evolgrid("lock", "study.yaml", "--update", "org/smal", folder=folder)
    assert unknown.returncode == 2 and "Did you mean 'org/small'?" in unknown.stderr
    for text in ("models: [1]\n", "lock: 7\n", "a: &x 1\n"):
        (folder / "study.lock").write_text(text)
        refused = evolgrid("plan", "study.yaml", folder=folder)
        assert refused.returncode == 2 and "study.lock" in refused.stderr and "Traceback" not in refused.stderr
