"""Faults of a folder that its files alone show: each is named with its remedy."""

from __future__ import annotations

import json
import shutil

import pytest

from actors.engine import EngineSpec, LoadError
from actors.engines.registry import create
from actors.model_folder.files import DOWNLOAD_AGAIN, INDEX_FILE, check_files, folder_fault
from bundled import path as bundled_path

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 123456\n"
WEIGHTS = "model.safetensors"


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(bundled_path("tiny-1m-chat"), tmp_path / "model")
    return tmp_path / "model"


def shard(folder, **weight_map):
    (folder / WEIGHTS).rename(folder / "model-00001-of-00002.safetensors")
    (folder / INDEX_FILE).write_text(json.dumps({"weight_map": weight_map}))


def test_complete_folders_have_no_fault(folder):
    assert folder_fault(folder) is None
    shard(folder, a="model-00001-of-00002.safetensors")
    assert folder_fault(folder) is None
    check_files("org/name-on-the-hub")


@pytest.mark.parametrize("name", [WEIGHTS, "tokenizer.json", "config.json", "tokenizer.model"])
def test_a_git_lfs_pointer_is_named(folder, name):
    (folder / name).write_text(POINTER)
    fault = folder_fault(folder)
    assert fault is not None
    assert fault.message == f"{folder}: {name} is a Git LFS pointer, not the file itself"
    assert fault.remedy.startswith(f"Run 'git lfs pull' in {folder}")


def test_several_pointers_are_counted(folder):
    for name in (WEIGHTS, "tokenizer.json", "tokenizer.model"):
        (folder / name).write_text(POINTER)
    fault = folder_fault(folder)
    assert fault is not None
    assert f"{WEIGHTS} and 2 more files are Git LFS pointers" in fault.message


def test_truncated_weights_are_named(folder):
    whole = (folder / WEIGHTS).read_bytes()
    for size, reason in (
        (len(whole) - 1, f"is truncated: {len(whole) - 1:,} of {len(whole):,} bytes"),
        (100, "is truncated in its header, after 100 bytes"),
        (3, "is not a safetensors file"),
        (0, "is not a safetensors file"),
    ):
        (folder / WEIGHTS).write_bytes(whole[:size])
        fault = folder_fault(folder)
        assert fault is not None
        assert fault.message == f"{folder}: {WEIGHTS} {reason}"
        assert fault.remedy == DOWNLOAD_AGAIN


def test_other_content_is_no_safetensors_file(folder):
    (folder / WEIGHTS).write_text("<!DOCTYPE html><html>404</html>")
    fault = folder_fault(folder)
    assert fault is not None
    assert "is not a safetensors file" in fault.message


def test_missing_shards_are_named(folder):
    shard(folder, a="model-00001-of-00002.safetensors", b="model-00002-of-00002.safetensors")
    fault = folder_fault(folder)
    assert fault is not None
    assert f"model-00002-of-00002.safetensors is missing, but {INDEX_FILE} names it" in fault.message


@pytest.mark.parametrize("name", ["consolidated.safetensors", "model-00001-of-00001.safetensors"])
def test_weights_under_other_names_are_named(folder, name):
    (folder / WEIGHTS).rename(folder / name)
    fault = folder_fault(folder)
    assert fault is not None
    assert fault.message == f"{folder} has neither {WEIGHTS} nor {INDEX_FILE}, only {name}"


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
def test_a_truncated_tokenizer_is_named(folder, name):
    whole = (folder / name).read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"[]"):
        (folder / name).write_bytes(content)
        fault = folder_fault(folder)
        assert fault is not None
        assert fault.message == f"{folder}: {name} is truncated, or is not a JSON object"
    (folder / name).write_bytes(b"\xef\xbb\xbf" + whole + b"\n\n")
    assert folder_fault(folder) is None


def test_engines_refuse_such_a_folder_before_they_load_it(folder):
    (folder / WEIGHTS).write_text(POINTER)
    for engine in ("transformers", "classifier", "vllm"):
        with pytest.raises(LoadError, match="git lfs pull"):
            create(EngineSpec(engine, str(folder)))
