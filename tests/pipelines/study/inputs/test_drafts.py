"""Draft models of vLLM's speculative decoding: found beside the study file, and part of a model's identity."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import bundled
from actors.engine import OptionValue
from actors.engines.vllm_arguments import SPECULATIVE
from pipelines.study.graph.steps.identities import model_identity
from pipelines.study.inputs.endpoints import check_placement
from pipelines.study.inputs.models import check_draft, engine_spec
from pipelines.study.spec.common.model import Model

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def drafted(**settings: OptionValue) -> Model:
    options: dict[str, OptionValue] = {SPECULATIVE: {"num_speculative_tokens": 4} | settings}
    return Model(source="bundled:tiny-1m-chat", engine="vllm", options=options)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(bundled.path("tiny-1m-base"), tmp_path / "draft")
    return tmp_path


def test_a_draft_models_folder_is_beside_the_study_file(folder: Path) -> None:
    settings: Any = dict(engine_spec(drafted(model="draft"), folder).options)[SPECULATIVE]
    assert settings == {"num_speculative_tokens": 4, "model": str(folder / "draft")}
    assert not list(check_draft(drafted(model="draft"), folder))


def test_a_draft_model_changes_the_identity_by_its_content(folder: Path) -> None:
    plain = model_identity(drafted(model="draft"), folder)
    (folder / "draft").rename(folder / "other")
    assert model_identity(drafted(model="other"), folder) == plain
    shutil.copytree(folder / "other", folder / "changed")
    (folder / "changed" / "config.json").write_text("{}")
    assert model_identity(drafted(model="changed"), folder) != plain
    assert model_identity(drafted(method="ngram"), folder) != plain


@pytest.mark.parametrize("settings", [{"method": "ngram"}, {"model": "org/draft", "revision": COMMIT}])
def test_other_ways_of_speculation_need_no_folder(settings: dict[str, str], tmp_path: Path) -> None:
    assert not list(check_draft(drafted(**settings), tmp_path))


def test_what_is_wrong_with_a_draft_model_is_told(folder: Path) -> None:
    (found,) = check_draft(drafted(model="missing"), folder)
    assert found.message == "'missing' is neither a folder nor a hub model with a commit"
    (found,) = check_draft(drafted(model="draft", tokens=3), folder)
    assert found.message.startswith("speculative_config has no setting 'tokens'")
    (folder / "draft" / "model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1")
    (found,) = check_draft(drafted(model="draft"), folder)
    assert "model.safetensors is a Git LFS pointer" in found.message


def test_speculation_belongs_under_options() -> None:
    model = Model(source="org/model", engine="vllm", runtime={SPECULATIVE: {"method": "ngram"}})
    (found,) = check_placement(model)
    assert found.remedy == "Move it to 'options'."
