"""Launch files: rendered from one description, accepted by Ray's and KubeRay's own schemas, without secrets."""

from __future__ import annotations

import copy
import gzip
import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from cluster.errors import ClusterError
from cluster.launch.check import check, check_file
from cluster.launch.crds import MAX_NAME_LENGTHS, NAME_PATTERN, RELEASED_CRDS_FILE, crd_schema, released_schemas
from cluster.launch.description import DEFAULT, Description, load
from cluster.launch.kuberay import TERMINATION_GRACE_SECONDS, job_name
from cluster.launch.render import render, render_job
from cluster.resources.inventory import Inventory, max_inventory
from pipelines.cli.app import app

ROOT = Path(__file__).parents[3]
SECRETS = re.compile(r"AKIA|ASIA|aws_secret|BEGIN [A-Z ]*PRIVATE KEY|hf_[A-Za-z0-9]{20}|\b[0-9a-f]{64}\b|\b\d{12}\b")
# a definition like KubeRay's, as a Kubernetes cluster returns it
DEFINITION: dict[str, Any] = {
    "spec": {
        "group": "ray.io",
        "names": {"kind": "RayCluster"},
        "versions": [
            {
                "name": "v1",
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "apiVersion": {"type": "string"},
                            "kind": {"type": "string"},
                            "metadata": {"type": "object"},
                            "spec": {
                                "type": "object",
                                "required": ["headGroupSpec"],
                                "properties": {"headGroupSpec": {"type": "object"}, "rayVersion": {"type": "string"}},
                            },
                        },
                    }
                },
            }
        ],
    }
}


@pytest.fixture
def described() -> Description:
    return load()


def changed(tmp_path: Path, **changes: Any) -> Path:
    path = tmp_path / "cluster.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(DEFAULT.read_text()) | changes))
    return path


def worker(**changes: Any) -> dict[str, Any]:
    machine = {"name": "a", "cpus": 8, "memory_gib": 32, "instances": {"aws": "x", "gcp": "y"}, "spot": 1}
    return machine | changes


def test_committed_file_is_what_the_description_renders(described: Description) -> None:
    assert (ROOT / "ray_config.yaml").read_text() == render(described, "aws")


@pytest.mark.parametrize("target", ["aws", "gcp"])
def test_file_of_ray_up_passes_rays_validation(described: Description, target: Any) -> None:
    assert check(yaml.safe_load(render(described, target)), {}) == []


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"idle_timeout_minuts": 5}, "idle_timeout_minuts"),
        ({"head_node_type": "boss"}, "head_node_type"),
        ({"max_workers": "many"}, "max_workers"),
    ],
)
def test_mistake_in_a_file_of_ray_up_is_told(described: Description, wrong: dict[str, Any], told: str) -> None:
    assert told in " ".join(check(yaml.safe_load(render(described, "gcp")) | wrong, {}))


@pytest.mark.parametrize(("target", "store"), [("aws", "s3"), ("gcp", "gcs")])
def test_nodes_have_the_extras_for_their_store_benchmarks_and_trainings(
    described: Description, target: Any, store: str
) -> None:
    (asked,) = re.findall(r"EXTRAS=(\S+,\S+)", render(described, target))
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(asked.split(",")) == {store, "eval", "deepspeed"} <= declared.keys()


def test_make_installs_extras_once_and_only_if_asked(tmp_path: Path) -> None:
    def planned(*words: str) -> str:
        command = ["make", "-n", "install", f"VENV={tmp_path}", *words]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert ".[" not in planned()
    assert "--editable '.[s3,eval]'" in planned("EXTRAS=s3,eval")
    for stamp in (".made", ".installed", ".extras-s3-eval"):
        (tmp_path / stamp).touch()
    assert "pip" not in planned("EXTRAS=s3,eval") + planned()
    assert "--editable '.[vllm]'" in planned("EXTRAS=vllm")


def test_gcp_takes_spot_machines_that_end_when_they_are_taken_back(described: Description) -> None:
    types = yaml.safe_load(render(described, "gcp"))["available_node_types"]
    assert types["l4_spot"]["node_config"]["scheduling"] == {
        "provisioningModel": "SPOT",
        "instanceTerminationAction": "DELETE",
        "onHostMaintenance": "TERMINATE",
    }
    assert "provisioningModel" not in types["l4_on_demand"]["node_config"]["scheduling"]
    assert "scheduling" not in types["head"]["node_config"]


def test_kubernetes_has_token_authentication_and_scales_spot_first_from_zero(described: Description) -> None:
    spec = yaml.safe_load(render(described, "kuberay"))["spec"]
    assert spec["authOptions"] == {"mode": "token"}
    assert spec["autoscalerOptions"]["version"] == "v2"
    groups = {group["groupName"]: group for group in spec["workerGroupSpecs"]}
    assert all(group["replicas"] == group["minReplicas"] == 0 < group["maxReplicas"] for group in groups.values())
    assert groups["l4-spot"]["priority"] > groups["l4-on-demand"].get("priority", 0)
    pod = groups["l4-spot"]["template"]["spec"]
    assert pod["nodeSelector"] == described.kubernetes.spot_selector | {
        described.kubernetes.gpu_label: described.kubernetes.gpu_labels["L4"]
    }
    assert pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"


def test_a_head_knows_which_nodes_may_still_come(described: Description, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = yaml.safe_load(render(described, "kuberay"))["spec"]
    for told in spec["headGroupSpec"]["template"]["spec"]["containers"][0]["env"]:
        monkeypatch.setenv(told["name"], told["value"])
    monkeypatch.setattr("cluster.resources.inventory.inventory", lambda: Inventory(()))
    found = max_inventory()
    assert found.gpus == described.inventory().gpus
    assert {node.accelerator for node in found.nodes} == {None, "L4", "H100"}


def test_a_pod_leaves_room_for_its_node(described: Description) -> None:
    spec = yaml.safe_load(render(described, "kuberay"))["spec"]
    asked = spec["workerGroupSpecs"][0]["template"]["spec"]["containers"][0]["resources"]["requests"]
    assert int(asked["cpu"]) < described.workers[0].cpus
    assert int(asked["memory"].removesuffix("Gi")) < described.workers[0].memory_gib


def test_job_carries_its_study_and_ends_with_its_cluster(described: Description) -> None:
    study = ROOT / "studies" / "quickstart.yaml"
    files, job = yaml.safe_load_all(
        render_job(described, "quickstart", study.name, study.read_text(), "s3://bucket/folder")
    )
    assert files["data"] == {"quickstart.yaml": study.read_text()}
    assert job["spec"]["entrypoint"] == (
        "evolgrid run /study/quickstart.yaml --address auto --store s3://bucket/folder --log store"
    )
    assert job["spec"]["shutdownAfterJobFinishes"] is True  # in any case: finished, failed, stopped or timed out
    assert "deletionStrategy" not in job["spec"]  # KubeRay rejects both
    mounted = job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["volumes"][0]["configMap"]["name"]
    assert files["metadata"]["name"] == job["metadata"]["name"] == mounted == "evolgrid-quickstart"
    assert job["spec"]["activeDeadlineSeconds"] == described.kubernetes.job_hours * 3600


def test_no_study_takes_the_job_of_another(described: Description) -> None:
    studies = ("tables", "main_tables", "main-tables", "main.tables", "a" * 64, "a" * 63 + "b", "a" * 39 + "-b", "a-")
    names = [job_name(described, study) for study in studies]
    assert len(set(names)) == len(studies)
    assert all(re.fullmatch(NAME_PATTERN, name) and len(name) <= MAX_NAME_LENGTHS["RayJob"] for name in names)
    assert names[0] == "evolgrid-tables"


def test_head_and_workers_have_time_to_save_what_is_finished(described: Description) -> None:
    spec = yaml.safe_load(render(described, "kuberay"))["spec"]
    pods = [group["template"]["spec"] for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"])]
    assert {pod["terminationGracePeriodSeconds"] for pod in pods} == {TERMINATION_GRACE_SECONDS}
    assert {"name": "RAY_JOB_STOP_WAIT_TIME_S", "value": str(TERMINATION_GRACE_SECONDS)} in pods[0]["containers"][0][
        "env"
    ]


@pytest.mark.parametrize("target", ["aws", "gcp", "kuberay"])
def test_no_launch_file_holds_a_secret(described: Description, target: Any) -> None:
    assert SECRETS.search(render(described, target)) is None


def test_a_definition_of_kubernetes_refuses_keys_that_it_lacks(described: Description) -> None:
    kind, schema = crd_schema(DEFINITION)
    good = {"apiVersion": "ray.io/v1", "kind": kind, "metadata": {}, "spec": {"headGroupSpec": {}}}
    assert check(good, {kind: schema}) == []
    bad = copy.deepcopy(good) | {"spec": {"headGroupSpc": {}}}
    assert any("headGroupSpc" in problem for problem in check(bad, {kind: schema}))


def kubernetes(described: Description, job: bool) -> list[Any]:
    study = ROOT / "studies" / "quickstart.yaml"
    text = (
        render_job(described, "quickstart", study.name, study.read_text(), "s3://b/f")
        if job
        else render(described, "kuberay")
    )
    return list(yaml.safe_load_all(text))


@pytest.mark.parametrize("job", [False, True])
def test_kubernetes_files_satisfy_kuberays_definitions(described: Description, job: bool) -> None:
    assert [check(document, released_schemas()) for document in kubernetes(described, job)] == [[], []] if job else [[]]


@pytest.mark.parametrize("job", [False, True])
@pytest.mark.parametrize(
    ("path", "wrong", "told"),
    [
        ("headGroupSpec", {"rayStartParms": {}}, "headGroupSpec: .*'rayStartParms' was unexpected"),
        ("headGroupSpec.rayStartParams", {"num-cpus": 0}, "headGroupSpec.rayStartParams.num-cpus: 0 is not of type"),
        (
            "workerGroupSpecs.0.template.spec.containers.0",
            {"imagePullPolice": "Always"},
            r"workerGroupSpecs\.0\.template\.spec\.containers\.0: .*'imagePullPolice' was unexpected",
        ),
        ("headGroupSpec.template.metadata", {"lables": {}}, "headGroupSpec.template.metadata: .*'lables'"),
        ("authOptions", {"mode": "tokens"}, "authOptions.mode: 'tokens' is not one of"),
        ("workerGroupSpecs.0", {"groupName": "cpu_spot"}, r"workerGroupSpecs\.0\.groupName: 'cpu_spot' does not match"),
    ],
)
def test_mistake_in_a_kubernetes_file_is_told_with_its_path(
    described: Description, job: bool, path: str, wrong: dict[str, Any], told: str
) -> None:
    document = kubernetes(described, job)[-1]
    place = document["spec"]["rayClusterSpec"] if job else document["spec"]
    for key in path.split("."):
        place = place[int(key)] if isinstance(place, list) else place.setdefault(key, {})
    place |= wrong
    (problem,) = check(document, released_schemas())
    assert re.match(rf"{document['kind']}: spec\.{'rayClusterSpec.' if job else ''}{told}", problem)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"kind": "RayClutser"}, "unknown kind 'RayClutser'; known: RayCluster, RayJob"),
        ({"apiVersion": "ray.io/v1alpha1"}, "apiVersion: 'ray.io/v1' was expected"),
        ({"metadata": {"nmae": "a"}}, "metadata: .*'nmae' was unexpected"),
        ({"metadata": {"name": "my_cluster"}}, "metadata.name: 'my_cluster' does not match"),
        ({"metadata": {"name": "a" * 54}}, "metadata.name: 'a+' is too long"),
        ({"spec": {}}, "'headGroupSpec' is a required property"),
    ],
)
def test_mistake_in_the_frame_of_a_kubernetes_file_is_told(
    described: Description, wrong: dict[str, Any], told: str
) -> None:
    (document,) = kubernetes(described, job=False)
    assert re.search(told, " ".join(check(document | wrong, released_schemas())))


def test_packed_release_is_the_one_that_help_and_notice_name() -> None:
    version = json.loads(gzip.decompress(RELEASED_CRDS_FILE.read_bytes()))["version"]
    assert version in RELEASED_CRDS_FILE.with_name("kuberay_crds.md").read_text()
    assert version in CliRunner().invoke(app, ["cluster", "check", "--help"]).stdout


def test_a_required_field_with_a_default_may_be_left_out(described: Description) -> None:
    (document,) = kubernetes(described, job=False)
    for group in document["spec"]["workerGroupSpecs"]:
        del group["maxReplicas"], group["minReplicas"]
    assert check(document, released_schemas()) == []


def test_only_what_a_definition_keeps_may_be_unknown() -> None:
    definition = copy.deepcopy(DEFINITION)
    spec = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    spec["properties"]["headGroupSpec"]["x-kubernetes-preserve-unknown-fields"] = True
    kind, schema = crd_schema(definition)
    document = {"apiVersion": "ray.io/v1", "kind": kind, "spec": {"headGroupSpec": {"a": {"b": 1}}}}
    assert check(document, {kind: schema}) == []
    document["spec"] |= {"a": 1}
    assert len(check(document, {kind: schema})) == 1


def test_command_takes_the_packed_definitions_or_those_that_are_named(described: Description, tmp_path: Path) -> None:
    file, crd, run = tmp_path / "cluster.yaml", tmp_path / "crd.yaml", CliRunner()
    file.write_text(render(described, "kuberay").replace("YOUR-", "your-"))
    assert run.invoke(app, ["cluster", "check", str(file)]).exit_code == 0
    crd.write_text(yaml.safe_dump({"kind": "List", "items": [DEFINITION]}))
    other = run.invoke(app, ["cluster", "check", str(file), "--crd", str(crd)])
    assert other.exit_code == 1
    assert "workerGroupSpecs" in other.stdout
    assert "contains no definitions" in str(
        run.invoke(app, ["cluster", "check", str(file), "--crd", str(file)]).exception
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "file: the file is empty"),
        ("---\n# later\n", "file: the file is empty"),
        ("- a\n- b\n", "file: expected a mapping of fields, found a list"),
        ("name", "file: .* found a str"),
        ("cluster_name: a\n", "file: 'provider' is a required property"),
        ("cluster_name: a\nprovider: aws\n", "provider: 'aws' is not of type 'object'"),
        ("cluster_name: a\nprovider: {region: x}\n", "provider: 'type' is a required property"),
        ("cluster_name: a\nprovider: {type: asw}\n", "provider.type: cannot check files for 'asw'"),
        ("cluster_name: a\nprovider: {type: aws}\navailable_node_types: 3\n", "available_node_types: 3 is not of type"),
        ("cluster_name: a\nprovider: {type: aws}\ndocker: {image: i}\n", "file: Must provide a container"),
    ],
)
def test_what_is_no_launch_file_at_all_is_told_with_its_field(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "ray_config.yaml"
    path.write_text(text)
    (problem,) = check_file(path, released_schemas())
    assert re.match(told, problem)


def test_what_is_still_to_be_filled_in_is_told(described: Description, tmp_path: Path) -> None:
    path = tmp_path / "gcp.yaml"
    path.write_text(render(described, "gcp"))
    assert "the placeholder 'YOUR-PROJECT' has not been replaced" in check_file(path, {})


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"max_worker": 3}, "max_worker"),
        ({"workers": [worker(spot=0)]}, "can never start"),
        ({"workers": [worker(gpus=1, gpu="H1000")]}, "H1000"),
        ({"workers": [worker(gpus=1)]}, "together"),
        ({"workers": [worker(), worker()]}, "two workers"),
        ({"name": "my_cluster"}, "name: 'my_cluster' is not a valid name for machines"),
        ({"name": "a" * 41}, "name: 'a+' is not a valid name for machines"),
        ({"workers": [worker(name="big_gpu")]}, r"workers.0.name: 'big_gpu' is not a valid name for machines"),
        ({"workers": [worker(instances={"aws": "x"})]}, "lacks gcp"),
        ({"workers": [worker(least=2, on_demand=1)]}, "least"),
        ({"idle_minutes": "5"}, "idle_minutes"),
    ],
)
def test_mistake_in_a_description_is_told(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ClusterError, match=told):
        load(changed(tmp_path, **changes))


def test_a_described_cluster_has_all_nodes_that_may_run_at_the_same_time(described: Description) -> None:
    cluster = described.inventory()
    assert cluster.gpus == (16 + 8) * 1 + (2 + 2) * 8
    assert {node.accelerator for node in cluster.nodes} == {None, "L4", "H100"}


def test_commands_render_and_check_a_changed_description(tmp_path: Path) -> None:
    aws = {"region": "eu-west-1", "zones": ["eu-west-1a"], "image": "ami-0123456789abcdef0"}
    run, source, target = CliRunner(), changed(tmp_path, aws=aws), tmp_path / "ray_config.yaml"
    rendered = run.invoke(app, ["cluster", "render", "aws", "--from", str(source)])
    assert rendered.exit_code == 0, rendered.output
    target.write_text(rendered.stdout)
    checked = run.invoke(app, ["cluster", "check", str(target)])
    assert (checked.exit_code, "no problem found" in checked.stdout) == (0, True)
    target.write_text(rendered.stdout.replace("upscaling_speed", "upscaling_sped"))
    assert run.invoke(app, ["cluster", "check", str(target)]).exit_code == 1
