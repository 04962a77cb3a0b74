"""`evolgrid init`: every template passes `plan` as it is written, and what can be found out is filled in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from cluster.connection import session
from cluster.resources import inventory
from pipelines.study.file.load import load
from pipelines.study.starters.starter import ORDER
from tests.actors.engines.servers.in_thread import served
from tests.support.command_line import evolgrid

MODELS = ["org/Big-Model", "text-embedding-3-small", "org/small_model", "third"]


async def _listed(request: web.Request) -> web.Response:
    if request.headers.get("Authorization") not in (None, "Bearer right"):
        return web.json_response({"error": {"message": "wrong key"}}, status=401)
    return web.json_response({"data": [{"id": name} for name in MODELS]})


@pytest.fixture
def url() -> Iterator[str]:
    app = web.Application()
    app.router.add_get("/v1/models", _listed)
    with served(app) as address:
        yield address


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "my data.csv"
    path.write_text("nr,task\n" + "".join(f"{n},Name {n} birds.\n" for n in range(10)))
    return path


@pytest.mark.parametrize("template", ORDER)
@pytest.mark.parametrize("with_data", [False, True], ids=["world", "data"])
@pytest.mark.parametrize("with_server", [False, True], ids=["local", "server"])
def test_every_template_passes_plan_as_written(
    tmp_path: Path, table: Path, url: str, template: str, with_data: bool, with_server: bool
) -> None:
    if template == "autoif" and (with_data or with_server):
        pytest.skip("takes neither")
    options = [*(["--data", table.name] if with_data else []), *(["--endpoint", url] if with_server else [])]
    made = evolgrid("init", template, *options, folder=tmp_path)
    assert made.returncode == 0, made.stderr
    assert made.stdout.endswith(f"Next: evolgrid preview {template}.yaml -n 5\n")
    planned = evolgrid("plan", f"{template}.yaml", folder=tmp_path)
    assert planned.returncode == 0, planned.stderr
    text = (tmp_path / f"{template}.yaml").read_text()
    assert "{{" not in text and max(map(len, text.splitlines())) <= 140
    if with_data:
        assert load(tmp_path / f"{template}.yaml").study.seeds[0].columns == {"instruction": "task"}


def test_the_template_follows_from_what_is_given(tmp_path: Path, table: Path, url: str) -> None:
    made = evolgrid("init", "--data", table.name, "--endpoint", url, folder=tmp_path)
    assert "10 rows. instruction = column 'task'; not used: nr" in made.stdout
    assert f"{url} serves 4 models: org/Big-Model, text-embedding-3-small" in made.stdout
    study = load(tmp_path / "endpoint.yaml").study
    assert {name: model.source for name, model in study.models.items()} == {
        "big-model": "org/Big-Model",
        "small_model": "org/small_model",
    }
    assert "text-embedding-3-small, third" in (tmp_path / "endpoint.yaml").read_text()
    assert evolgrid("init", "--data", table.name, folder=tmp_path).returncode == 0
    assert (tmp_path / "own-data.yaml").exists()


def test_nothing_is_overwritten_without_force(tmp_path: Path) -> None:
    (tmp_path / "autoif.yaml").write_text("mine")
    refused = evolgrid("init", "autoif", folder=tmp_path)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "autoif.yaml: exists already" in refused.stderr and "--force" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["autoif.yaml"]
    assert (tmp_path / "autoif.yaml").read_text() == "mine"
    assert evolgrid("init", "autoif", "--force", folder=tmp_path).returncode == 0
    assert load(tmp_path / "autoif.yaml").study.study == "autoif"


def test_a_machine_with_gpus_gets_models_of_the_hub_which_are_pinned_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (node,) = inventory.machine().nodes
    monkeypatch.setattr(inventory, "machine", lambda: inventory.Inventory((replace(node, gpus=2),)))
    made = evolgrid("init", "teachers", "--out", "mine.yaml", folder=tmp_path)
    assert "2 GPUs" in made.stdout and made.stdout.endswith("Next: evolgrid lock mine.yaml\n")
    text = (tmp_path / "mine.yaml").read_text()
    assert "study: mine\n" in text and "Qwen/Qwen2.5-7B-Instruct, revision: main" in text


def test_the_gpus_of_a_cluster_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    (node,) = inventory.machine().nodes
    monkeypatch.setattr(session, "connect", lambda address: nullcontext(asked.append(address)))
    monkeypatch.setattr(
        inventory, "max_inventory", lambda: inventory.Inventory((replace(node, gpus=8, cpus=64.0),) * 2)
    )
    made = evolgrid("init", "teachers", "--address", "10.0.0.1:6379", folder=tmp_path)
    assert "The cluster at 10.0.0.1:6379: 128 CPUs" in made.stdout and "16 GPUs" in made.stdout
    assert asked == ["10.0.0.1:6379"] and "For 16 GPUs" in (tmp_path / "teachers.yaml").read_text()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["quickstrat"], "Did you mean 'quickstart'?"),
        (["--data", "missing.csv"], "missing.csv"),
        (["--endpoint", "http://127.0.0.1:9/v1"], "does not answer"),
        (["--endpoint", "localhost"], "http://host:8000/v1"),
        (["--key-env", "KEY"], "no effect without --endpoint"),
        (["autoif", "--data", "my data.csv"], "takes no --data"),
        (["--out", "___.yaml"], "cannot be the name of the study"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, table: Path, options: list[str], told: str) -> None:
    refused = evolgrid("init", *options, folder=tmp_path)
    assert refused.returncode == 2 and told in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == [table.name]


def test_a_wrong_key_is_said_with_the_option_that_helps(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVER_KEY", "wrong")
    refused = evolgrid("init", "--endpoint", url, "--key-env", "SERVER_KEY", folder=tmp_path)
    assert refused.returncode == 2 and "rejects the key" in refused.stderr
    monkeypatch.setenv("SERVER_KEY", "right")
    assert evolgrid("init", "--endpoint", url, "--key-env", "SERVER_KEY", folder=tmp_path).returncode == 0
    assert "key_env: SERVER_KEY" in (tmp_path / "endpoint.yaml").read_text()


def test_the_list_has_a_line_for_each_template() -> None:
    told = evolgrid("init", "--list").stdout.splitlines()
    assert [line.split()[0] for line in told[: len(ORDER)]] == [*ORDER]
    assert all(len(line) <= 80 for line in told)


def test_the_version_is_printed() -> None:
    assert evolgrid("--version").stdout.startswith("evolgrid 0.")
