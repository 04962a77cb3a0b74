"""`evolgrid push` against a stand-in of the hub."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from huggingface_hub import constants

from pipelines.rows.arrow import from_table
from pipelines.rows.types import ResponseRow
from pipelines.store.store import Store
from tests.pipelines.results.hub.conftest import Finished
from tests.support.command_line import evolgrid
from tests.support.hub_cache import COMMIT
from tests.support.hub_server import HubServer

DATA = "datasets/my-org/greetings"
ADAPTER = "models/my-org/greetings-there-lora-on-world-small-r1-small-greedy-all"
MERGED = ADAPTER.replace("there", "here")


def push(finished: Finished, *options: str, to: str = "my-org/greetings") -> tuple[int, str]:
    done = evolgrid("push", finished.study, "--to", to, "--store", finished.store, *options)
    return done.returncode, done.stdout + done.stderr


def header(card: bytes) -> dict[str, object]:
    return yaml.safe_load(card.decode().split("---\n")[1])


def test_without_yes_everything_is_shown_and_nothing_is_sent(
    finished: Finished, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    code, said = push(finished)
    assert code == 0 and not [each for each in hub.requests if each.startswith(("POST", "PUT"))]
    assert re.search(r"my-org/greetings \(private data set, [\d.]+ kB\)", said)
    assert "  world-small-r1-small-greedy.sft.parquet" in said and "  report/index.html" in said
    assert f"{ADAPTER.removeprefix('models/')} (private model, " in said
    assert "  adapter_model.safetensors" in said and "library_name: transformers" in said
    assert 'load_dataset("my-org/greetings"' in said, "the card"
    assert said.rstrip().endswith("--yes to my-org/greetings.")


def test_everything_is_pushed_to_private_repositories(finished: Finished, hub: HubServer) -> None:
    code, said = push(finished, "--yes")
    assert code == 0 and f"{hub.url}/{DATA}" in said
    assert all(each.private for each in hub.repositories.values())
    data = hub.repositories[DATA].files
    assert {"README.md", "croissant.json", "report/index.html", "world-small-r1-small-greedy.sft.parquet"} <= {*data}
    assert data["study.yaml"] == finished.study.read_bytes()
    assert header(data["README.md"])["size_categories"] == ["n<1K"]
    assert header(data["README.md"])["language"] == ["en"]


def test_a_lora_student_is_an_adapter_that_names_its_base_on_the_hub(finished: Finished, hub: HubServer) -> None:
    assert push(finished, "--yes")[0] == 0
    files = hub.repositories[ADAPTER].files
    assert {*files} == {
        "README.md", "study.yaml", "adapter_config.json", "adapter_model.safetensors", "tokenizer.json",
    }  # fmt: skip
    config = json.loads(files["adapter_config.json"])
    assert (config["base_model_name_or_path"], config["revision"]) == ("org/base", COMMIT)
    card = header(files["README.md"])
    assert card["base_model"] == "org/base" and card["library_name"] == "peft"
    assert card["datasets"] == ["my-org/greetings"]
    ((model,),) = [card["model-index"]]  # type: ignore[misc]
    (result,) = model["results"]
    assert result["metrics"] == [{"type": "accuracy", "value": 100.0, "name": "world"}]
    merged = hub.repositories[MERGED].files
    assert "model.safetensors" in merged and "adapter_config.json" not in merged
    assert "base_model" not in header(merged["README.md"])


def test_an_interrupted_push_sends_only_the_rest(finished: Finished, hub: HubServer) -> None:
    hub.broken_uploads = 3
    code, said = push(finished, "--yes")
    assert code == 1 and "what is uploaded is not sent again" in said.splitlines()[-1] and "Traceback" not in said
    before = dict(hub.uploads)
    assert sum(before.values()) == 3
    hub.broken_uploads = None
    assert push(finished, "--yes")[0] == 0
    assert {*hub.uploads.values()} == {1}, "no large file twice"
    commits = {name: len(each.commits) for name, each in hub.repositories.items()}
    assert push(finished, "--yes")[0] == 0
    assert commits == {name: len(each.commits) for name, each in hub.repositories.items()}, "nothing has changed"


def test_students_are_chosen_by_patterns(finished: Finished, hub: HubServer) -> None:
    assert push(finished, "--yes", "--student", "here-*r1*")[0] == 0
    assert {*hub.repositories} == {DATA, MERGED}
    code, said = push(finished, "--student", "nowhere-*")
    assert code == 2 and "--student: 'nowhere-*' matches no finished student. Finished students: here-lora-on" in said
    assert "model, " not in push(finished, "--no-students")[1]


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        ({"HF_TOKEN": None}, r"no token for the hub\. Create a token .* set HF_TOKEN or run 'hf auth login'"),
        ({"HF_TOKEN": "hf_wrong"}, r"my-org/greetings: the hub does not accept the token\. Create"),
        ({"to": "other/greetings"}, r"other/greetings: the token may not write to 'other'\. Check the name"),
        ({"to": "greetings"}, r"--to: 'greetings' is not of the form ORG/NAME\. Give the owner"),
        ({"to": "my-org/a--b"}, r"--to: Cannot have -- or \.\. in repo_id"),
    ],
)
def test_what_prevents_a_push_is_one_line_with_a_remedy(
    finished: Finished, hub: HubServer, monkeypatch: pytest.MonkeyPatch, change: dict[str, str | None], remedy: str
) -> None:
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", "nowhere")
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", False)
    token = change.get("HF_TOKEN", "")
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    elif token is None:
        monkeypatch.delenv("HF_TOKEN")
    code, said = push(finished, "--yes", to=change.get("to") or "my-org/greetings")
    assert code == 2 and re.search(remedy, said.splitlines()[-1]) and not hub.repositories


def test_a_hub_that_cannot_be_reached_is_one_line(
    finished: Finished, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    code, said = push(finished, "--yes", "--no-students")
    assert code == 1 and "cannot upload to http://127.0.0.1:9: " in said.splitlines()[-1]
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    code, said = push(finished, "--yes")
    assert (code, said.strip()) == (2, "HF_HUB_OFFLINE is set, so nothing can be pushed. Unset it.")


def test_private_data_are_not_pushed_to_a_public_repository(finished: Finished, hub: HubServer) -> None:
    assert push(finished, "--yes", "--no-students", "--public")[0] == 0
    assert not hub.repositories[DATA].private
    code, said = push(finished, "--yes", "--no-students")
    assert code == 2 and "my-org/greetings: exists on the hub and is public. Pass --public" in said


def test_a_secret_anywhere_stops_the_push(
    finished: Finished, hub: HubServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    copied = finished._replace(study=tmp_path / "greetings.yaml")
    copied.study.write_text(finished.study.read_text() + "# hf_" + "a" * 34 + "\n")
    code, said = push(copied, "--yes")
    last = len(copied.study.read_text().splitlines())
    assert code == 2 and f"my-org/greetings/study.yaml:{last}: contains a Hugging Face token: nothing was p" in said
    assert "aaaa" not in said and not hub.repositories
    rows = from_table(ResponseRow, Store(finished.store).rows("respond", finished.grid.sets[0].responses.key))
    monkeypatch.setenv("OPENAI_API_KEY", rows[0].instruction)
    code, said = push(finished, "--yes")
    assert code == 2 and not hub.repositories and "contains the value of OPENAI_API_KEY" in said


def test_nothing_finished_is_told(finished: Finished, hub: HubServer, tmp_path: Path) -> None:
    code, said = push(finished._replace(store=str(tmp_path / "empty")))
    assert code == 2 and "no data set and no student of this study is finished. Run the study first." in said
