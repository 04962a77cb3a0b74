"""A study's models as pools: what each needs comes from its fields, and equal shared models are one pool."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from actors.engines.registry import ENGINES
from actors.serving.residency import ModelResidency, ResidentModel
from actors.serving.spec import ReplicaResources
from cluster.errors import ClusterError
from cluster.resources.inventory import Inventory, Node
from pipelines.execution.runtime import model_pools as cast
from pipelines.study.spec.common.model import Model
from tests.support.studies import scripted_study

FOLDER = Path("/")
HERE = Inventory(tuple(Node(f"node {i}", cpus=16, gpus=4, memory_bytes=100) for i in range(2)))


def model(**fields: Any) -> Model:
    return Model.model_validate({"source": "teacher", "engine": "scripted", **fields})


def parts(monkeypatch: pytest.MonkeyPatch, run: str = "run", **models: dict[str, Any]) -> dict[str, ResidentModel]:
    """What the stage of a study with these models is made of."""
    made: dict[str, Any] = {}
    monkeypatch.setattr(cast, "ModelResidency", lambda parts, limit: made.update(parts=parts, limit=limit))
    study = scripted_study(models={name: {"source": "teacher", "engine": "scripted"} | m for name, m in models.items()})
    cast.residency(study, FOLDER, run)
    monkeypatch.setattr(cast, "live_nodes", lambda: {node.name: node for node in HERE.nodes})
    assert made["limit"]("node 1") == int(cast.SLEEP_MEMORY_FRACTION * 100)
    assert made["limit"]("a node that has left") == 0
    return made["parts"]


def test_terms_come_from_the_fields_of_a_model() -> None:
    fields = {"cpus": 2, "gpus": 0.5, "replicas": 3, "max_replicas": 8, "in_flight": 7, "max_length": 99}
    terms = cast.pool_spec(model(**fields, options={"latency": 0.1}, runtime={"slots": 4}), "pool", FOLDER)
    assert (terms.name, terms.resources) == ("pool", ReplicaResources(2, 0.5))
    assert (terms.min_replicas, terms.max_replicas, terms.max_ongoing_requests) == (3, 8, 7)
    assert (terms.spec.engine, terms.spec.model, terms.spec.max_length) == ("scripted", "teacher", 99)
    assert dict(terms.spec.options) == {"latency": 0.1, "slots": 4}


@pytest.mark.parametrize(("replicas", "max_replicas", "most"), [(1, None, 1), (4, None, 4), (2, 5, 5), (1, 1, 1)])
def test_without_a_maximum_there_are_as_many_replicas_as_told(
    replicas: int, max_replicas: int | None, most: int
) -> None:
    terms = cast.pool_spec(model(replicas=replicas, max_replicas=max_replicas), "pool", FOLDER)
    assert (terms.min_replicas, terms.max_replicas) == (replicas, most)


@pytest.mark.parametrize(
    ("engine", "gpus", "resolved"),
    [("auto", 0, "transformers"), ("auto", 1, "vllm"), ("http", 0, "http"), ("scripted", 0, "scripted")],
)
def test_requests_in_flight_are_as_many_as_the_engine_likes(engine: str, gpus: int, resolved: str) -> None:
    terms = cast.pool_spec(model(engine=engine, gpus=gpus), "pool", FOLDER)
    assert (terms.spec.engine, terms.max_ongoing_requests) == (resolved, ENGINES[resolved].default_max_ongoing_requests)


def test_a_trained_checkpoint_takes_the_place_of_the_weights() -> None:
    terms = cast.pool_spec(model(revision="abc"), "pool", FOLDER, "/checkpoint")
    assert (terms.spec.model, terms.spec.revision) == ("/checkpoint", None)


def test_models_of_a_run_have_the_runs_name(monkeypatch: pytest.MonkeyPatch) -> None:
    made = parts(monkeypatch, "run7", small={}, large={}, scorer={})
    assert made["small"].pool_spec.name == "run7/small"
    assert len({part.pool_spec.name for part in made.values()}) == 3
    assert not any(part.shared for part in made.values())


def test_weights_are_those_of_one_replica(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"0" * 1000)
    local = {"source": str(tmp_path), "engine": "transformers", "replicas": 3}
    made = parts(monkeypatch, small=local, large={}, scorer={})
    assert (made["small"].weight_bytes, made["large"].weight_bytes) == (1000, 0)


def test_equal_shared_models_are_one_pool_for_all_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    one = parts(monkeypatch, "run 1", small={"shared": True}, large={}, scorer={})["small"]
    two = parts(monkeypatch, "run 2", small={"shared": True}, large={}, scorer={})["small"]
    assert one == two and one.shared
    assert "run" not in one.pool_spec.name


def test_models_on_servers_share_a_process_for_each_run_and_one_for_all_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    remote = {"engine": "http", "runtime": {"url": "http://a:1/v1"}}
    hosts = [
        {name: part.pool_spec.host for name, part in made.items()}
        for run in ("run 1", "run 2")
        for made in [parts(monkeypatch, run, small=remote, large=remote, scorer={}, judge={**remote, "shared": True})]
    ]
    assert all(host["small"] == host["large"] != "" for host in hosts)
    assert len({host["small"] for host in hosts} | {host["judge"] for host in hosts}) == 3
    assert {host["scorer"] for host in hosts} == {""}


@pytest.mark.parametrize(
    "change",
    [
        {"source": "other"},
        {"revision": "abc"},
        {"dtype": "bfloat16"},
        {"max_length": 77},
        {"options": {"latency": 1.0}},
        {"runtime": {"slots": 2}},
        {"cpus": 2.0},
        {"gpus": 0.5},
        {"replicas": 2},
        {"max_replicas": 2},
        {"in_flight": 3},
    ],
)
def test_shared_models_that_differ_in_anything_are_different_pools(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    plain = parts(monkeypatch, small={"shared": True}, large={}, scorer={})["small"]
    other = parts(monkeypatch, small={"shared": True, **change}, large={}, scorer={})["small"]
    assert plain.pool_spec.name != other.pool_spec.name


def test_what_is_too_large_for_the_cluster_is_refused_by_its_name() -> None:
    models = {name: {"source": name, "engine": "scripted", "cpus": 1} for name in ("small", "large", "scorer")}
    study = scripted_study(models=models | {"large": models["large"] | {"gpus": 5}})
    cast.check_models_fit(study, ["small", "scorer"], HERE)
    with pytest.raises(ClusterError, match="large asks for 1 CPUs and 5 GPUs on one node"):
        cast.check_models_fit(study, ["small", "large"], HERE)


def test_an_engine_that_can_take_several_nodes_may() -> None:
    models = {name: {"source": name, "engine": "scripted"} for name in ("small", "scorer")}
    study = scripted_study(models=models | {"large": {"source": "large", "engine": "vllm", "gpus": 8}})
    cast.check_models_fit(study, ["large"], HERE)


def test_the_stage_is_one_that_can_be_closed_at_once() -> None:
    study = scripted_study()
    stage = cast.residency(study, FOLDER, "run")
    assert isinstance(stage, ModelResidency)
    stage.close()


@pytest.mark.parametrize(
    ("gpus", "parameters", "seconds"), [(0, 0, 600), (8, 405e9, 8700), (1, 1e9, 620), (0.25, 1e9, 2480)]
)
def test_a_load_may_take_longer_the_larger_the_model_and_the_more_share_its_gpu(
    gpus: float, parameters: float, seconds: float
) -> None:
    large = model(gpus=gpus, parameters=parameters or None)
    assert cast.pool_spec(large, "pool", FOLDER).load_timeout == pytest.approx(seconds)
