"""Names that refer to nothing, files that are not there, machines that are too small: told before anything starts."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import bundled
from pipelines.errors import InputError, InputErrors
from pipelines.study import check as checks
from pipelines.study.check import check
from pipelines.study.file.load import load
from pipelines.study.inputs import models as sources
from pipelines.study.inputs.models import resolve_model_path
from pipelines.study.spec.common.model import Model
from tests.support.hub_cache import hub_cache, snapshot

WriteStudy = Callable[..., Path]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
MODEL = "source: any\n    engine: scripted"


def problems(path: Path, **totals: Any) -> list[str]:
    with pytest.raises(InputError) as caught:
        check(load(path), **totals)
    found = caught.value.problems if isinstance(caught.value, InputErrors) else [caught.value]
    return [str(problem).removeprefix(f"{path}:") for problem in found]


def source_problem(write_study: WriteStudy, source: str) -> str:
    (found,) = problems(write_study({MODEL: source}))
    return found


def model_folder(parent: Path, *names: str) -> Path:
    folder = parent / "mine"
    folder.mkdir()
    for name in names:
        (folder / name).touch()
    return folder


def test_a_sound_study_passes(write_study: WriteStudy) -> None:
    check(load(write_study()), cpus=2, gpus=0)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "evolvers: [tiny]",
            "evolvers: [tinny]",
            "10: evolution.evolvers[0]: no model is named 'tinny'. Did you mean 'tiny'?",
        ),
        (
            "teachers: [tiny]",
            "teachers:\n    - tiny\n    - big",
            "14: responses.teachers[1]: no model is named 'big'. Valid names: tiny.",
        ),
        (
            "evolvers: [tiny]",
            "evolvers: [tiny]\n  elimination: {judge: tinny}",
            "11: evolution.elimination.judge: no model is named 'tinny'. Did you mean 'tiny'?",
        ),
        (
            "evolvers: [tiny]",
            "evolvers: [tiny]\n  method: auto-evol-instruct\n  optimization: {optimizer: tinny}",
            "12: evolution.optimization.optimizer: no model is named 'tinny'. Did you mean 'tiny'?",
        ),
        ("model: tiny", "model: tin", "17: students[0].model: no model is named 'tin'. Did you mean 'tiny'?"),
        ("recipe: quick", "recipe: quik", "18: students[0].recipe: no recipe is named 'quik'. Did you mean 'quick'?"),
        (
            "evolvers: [tiny]",
            "evolvers: [tiny, tiny]",
            "10: evolution.evolvers[1]: 'tiny' is given twice; the first time in line 10",
        ),
        (
            "epochs: 1",
            "batch_size: 10\n    micro_batch_size: 4",
            "15: recipes.quick.batch_size: batch_size 10 is not a multiple of micro_batch_size 4",
        ),
        (
            "world: {count: 8}",
            "file: none.jsonl",
            "4: seeds[0].file: FOLDER/none.jsonl: no such file. Correct the path, or name another file with '--seeds'.",
        ),
        (
            "world: {count: 8}",
            "file: ~/a.jsonl",
            "4: seeds[0].file: '~' is not expanded. Write an absolute path, or one relative to the study's folder.",
        ),
        (
            "world: {count: 8}",
            "file: study.yaml",
            "4: seeds[0].file: FOLDER/study.yaml: '.yaml' is not a format of"
            " seeds. Use .jsonl, .ndjson, .json, .csv, .tsv, .parquet, .arrow;"
            " all but Parquet and Arrow also as .gz, .zst, .xz, .bz2.",
        ),
        (
            "world: {count: 8}",
            "hub: org/name",
            "4: seeds[0].hub: seeds on the hub need a pinned 'revision' (commit) to be reproducible. "
            "Pin it with 'evolgrid lock', or add the 40-digit commit of huggingface.co/datasets/org/name.",
        ),
        (
            "world: {count: 8}",
            "hub: org/name\n    revision: main",
            "5: seeds[0].revision: 'main' is not a commit. "
            "Pin it with 'evolgrid lock', or give the 40 hexadecimal digits of the commit.",
        ),
        (
            "world: {count: 8}",
            f"hub: alpaca\n    revision: {COMMIT}",
            "4: seeds[0].hub: 'alpaca' is not the name of a data set on the hub. Give it as 'org/name'.",
        ),
    ],
)
def test_a_reference_to_nothing_is_told_with_the_nearest_name(
    write_study: WriteStudy, old: str, new: str, expected: str
) -> None:
    path = write_study({old: new})
    assert problems(path) == [expected.replace("FOLDER", str(path.parent))]


def test_a_split_that_a_data_set_on_the_hub_lacks_is_told(
    write_study: WriteStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot(hub_cache(tmp_path / "hub", monkeypatch), "org/name", {"train.jsonl": '{"instruction": "Count."}'})
    path = write_study({"world: {count: 8}": f"hub: org/name\n    revision: {COMMIT}"})
    check(load(path))
    path = write_study({"world: {count: 8}": f"hub: org/name\n    revision: {COMMIT}\n    split: test"})
    (found,) = problems(path)
    assert found.startswith("4: seeds[0].hub: org/name: has no split 'test'")
    assert found.endswith("Its splits are train.")


def test_an_unknown_scorer_is_told(write_study: WriteStudy) -> None:
    path = write_study(add="scoring:\n  scorer: tiy\n")
    assert problems(path) == ["20: scoring.scorer: no model is named 'tiy'. Did you mean 'tiny'?"]


@pytest.mark.parametrize(
    ("add", "expected"),
    [
        ("scoring: [{scorer: tiny}, {scorer: tiny}]\n", "19: scoring[1]: 'tiny' is given twice"),
        (
            "scoring: [{scorer: tiny, name: one}]\nselection: [{name: a, by: ifd, scorer: onn}]\n",
            "20: selection[0].scorer: no scorer of the study is named 'onn'. Did you mean 'one'?",
        ),
    ],
)
def test_scorers_that_name_nothing_are_told(write_study: WriteStudy, add: str, expected: str) -> None:
    (found,) = problems(write_study(add=add))
    assert found.startswith(expected)


def test_a_scorer_that_is_no_base_model_is_told(write_study: WriteStudy) -> None:
    add = "scoring: [{scorer: tiny}, {scorer: self}]\n"
    check(load(write_study(add=add)))
    (found,) = problems(write_study({"students:\n  - model: tiny\n    recipe: quick\n": ""}, add))
    assert found.startswith("16: scoring[1].scorer: 'self' means each student's base model, and the study has no")
    (found,) = problems(write_study({"models:\n": "models:\n  self: {source: a, engine: scripted}\n"}, add))
    assert found.endswith("the study has a model of this name. Give the model another name.")


@pytest.mark.parametrize(
    ("add", "expected"),
    [
        (
            "selection:\n  - name: a\n  - name: a\n",
            "21: selection[1].name: 'a' is given twice; the first time in line 20",
        ),
        (
            "benchmarks:\n  - {name: a, world: {count: 1}}\n  - {name: a, world: {count: 2}}\n",
            "21: benchmarks[1].name: 'a' is given twice; the first time in line 20",
        ),
        (
            "selection:\n  - name: best\n    by: ifd\n",
            "21: selection[0].by: 'ifd' needs scores, but the study has no 'scoring'."
            " Add for example 'scoring: {scorer: MODEL}', or select by 'random' or 'words'.",
        ),
    ],
)
def test_doubled_names_and_scores_that_nobody_makes_are_told(write_study: WriteStudy, add: str, expected: str) -> None:
    assert problems(write_study(add=add)) == [expected]


def test_a_selection_by_words_needs_no_scores_and_one_by_length_needs_the_scorers_tokens(
    write_study: WriteStudy,
) -> None:
    check(load(write_study(add="selection:\n  - {name: long, by: words, keep: 0.5}\n")))
    (told,) = problems(write_study(add="selection:\n  - {name: long, by: length, keep: 0.5}\n"))
    assert "'length' needs numbers of tokens" in told and "'words'" in told


@pytest.mark.parametrize(
    ("request_", "totals", "expected"),
    [
        ("cpus: 8", {"cpus": 2}, "9: models.tiny.cpus: one replica asks for 8; the whole cluster has 2 CPUs"),
        ("gpus: 1", {"gpus": 0}, "9: models.tiny.gpus: one replica asks for 1; the whole cluster has 0 GPUs"),
        ("gpus: 1.5", {"gpus": 8}, "9: models.tiny.gpus: 1.5 GPUs: above 1, the number must be whole"),
    ],
)
def test_an_impossible_resource_request_names_what_there_is(
    write_study: WriteStudy, request_: str, totals: dict[str, float], expected: str
) -> None:
    path = write_study({MODEL: f"{MODEL}\n    {request_}"})
    assert problems(path, **totals) == [expected]


def test_a_model_on_a_server_takes_nothing_of_the_cluster(write_study: WriteStudy) -> None:
    served = "engine: http\n    cpus: 8\n    runtime: {url: 'http://a:1/v1'}"
    check(load(write_study({MODEL: f"source: any\n    {served}"})), cpus=2, gpus=0)


def test_without_a_cluster_requests_are_not_judged(write_study: WriteStudy) -> None:
    check(load(write_study({MODEL: f"{MODEL}\n    cpus: 1000"})))


def test_a_folder_that_is_a_model_passes_and_resolves(write_study: WriteStudy, tmp_path: Path) -> None:
    folder = shutil.copytree(bundled.path("tiny-1m-chat"), tmp_path / "mine")
    loaded = load(write_study({MODEL: "source: mine"}))
    check(loaded)
    assert resolve_model_path(loaded.study.models["tiny"], loaded.folder) == str(folder)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], "FOLDER has no config.json: it is not a Hugging Face model folder"),
        (["config.json"], "FOLDER has no weights (*.safetensors). Download the model again."),
        (
            ["config.json", "model-q4.gguf"],
            "FOLDER has only GGUF weights, which are not loaded. "
            "Use the original model's folder, or serve the GGUF file with llama.cpp and 'engine: http'.",
        ),
        (
            ["config.json", "pytorch_model.bin"],
            "FOLDER has only pickled weights, which are not loaded because they can execute code. "
            "Convert them: load with transformers and save_pretrained(..., safe_serialization=True).",
        ),
        (
            ["config.json", "model.safetensors"],
            "FOLDER has no tokenizer (none of tokenizer.json, tokenizer.model, vocab.json)",
        ),
    ],
)
def test_an_incomplete_model_folder_says_what_is_missing(
    write_study: WriteStudy, tmp_path: Path, names: list[str], expected: str
) -> None:
    folder = model_folder(tmp_path, *names)
    found = source_problem(write_study, "source: ./mine")
    assert found == f"7: models.tiny.source: {expected.replace('FOLDER', str(folder))}"


@pytest.mark.torch  # transformers knows the architectures
@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        (
            "model.safetensors",
            "version https://git-lfs.github.com/spec/v1\noid sha256:0",
            "FOLDER: model.safetensors is a Git LFS pointer, not the file itself. "
            "Run 'git lfs pull' in FOLDER: the repository was cloned without its large files.",
        ),
        ("model.safetensors", "cut", "FOLDER: model.safetensors is not a safetensors file. Download the model again."),
        (
            "model.safetensors.index.json",
            '{"weight_map": {"head": "model-2.safetensors"}}',
            "FOLDER: model-2.safetensors is missing, but model.safetensors.index.json names it. "
            "Download the model again.",
        ),
        (
            "config.json",
            '{"model_type": "t5", "is_encoder_decoder": true}',
            "FOLDER: 't5' is an encoder-decoder; evolgrid uses decoder-only language models. Choose another model.",
        ),
        (
            "config.json",
            '{"model_type": "mine", "auto_map": {"AutoConfig": "mine.Mine"}}',
            "FOLDER: its architecture is code in its own folder, which is never run. "
            "Use a model of an architecture that transformers has.",
        ),
        (
            "config.json",
            '{"model_type": "mine"}',
            "FOLDER: the installed transformers does not have its architecture ('model_type' in config.json). "
            "Use a model of an architecture that transformers has.",
        ),
        (
            "config.json",
            '{"model_type": "llama", "quantization_config": {"quant_method": "torchao"}}',
            "FOLDER is quantised (torchao), and transformers needs the package 'torchao' to load it. "
            "Install 'torchao', or serve the model with 'engine: vllm' on GPUs.",
        ),
    ],
)
def test_a_faulty_model_folder_says_what_is_wrong(
    write_study: WriteStudy, tmp_path: Path, name: str, content: str, expected: str
) -> None:
    folder = shutil.copytree(bundled.path("tiny-1m-chat"), tmp_path / "mine")
    (folder / name).write_text(content)
    found = source_problem(write_study, "source: ./mine")
    assert found == f"7: models.tiny.source: {expected.replace('FOLDER', str(folder))}"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("source: ~/m", "7: models.tiny.source: '~' is not expanded."),
        ("source: nothing", "7: models.tiny.source: 'nothing' is neither an existing folder nor a hub name."),
        ("source: org/name", "7: models.tiny.source: a hub model needs a pinned 'revision'"),
        ("source: org/name\n    revision: main", "8: models.tiny.revision: 'main' is not a commit."),
        ("source: ./none", "7: models.tiny.source: no such folder: "),
    ],
)
def test_a_source_that_cannot_be_loaded_is_told(write_study: WriteStudy, source: str, expected: str) -> None:
    assert source_problem(write_study, source).startswith(expected)


def test_a_hub_model_at_a_commit_passes_and_stays_a_name(write_study: WriteStudy) -> None:
    loaded = load(write_study({MODEL: f"source: org/name\n    revision: {COMMIT}"}))
    check(loaded)
    assert resolve_model_path(loaded.study.models["tiny"], loaded.folder) == "org/name"


def test_an_unknown_bundled_model_is_told_with_the_nearest(
    write_study: WriteStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundled, "names", lambda: ("small", "large"))
    found = source_problem(write_study, "source: bundled:smal")
    assert found == "7: models.tiny.source: no bundled model is named 'smal'. Did you mean 'small'?"


def test_vllm_that_is_not_installed_is_told_with_the_command(
    write_study: WriteStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "find_spec", lambda name: None)
    (found,) = problems(write_study({MODEL: "source: bundled:tiny-1m-chat\n    engine: vllm"}), local=True)
    assert found.startswith("8: models.tiny.engine: the package 'vllm' is not installed. Install it with")


def test_zero_without_deepspeed_is_told_with_the_command(
    write_study: WriteStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "find_spec", lambda name: None)
    (found,) = problems(write_study({"recipe: quick": "recipe: quick\n    sharding: zero3"}), local=True)
    assert "students[0].sharding: the package 'deepspeed' is not installed. Install it with" in found


def test_packages_of_nodes_elsewhere_are_not_looked_for_here(
    write_study: WriteStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (sources, checks):
        monkeypatch.setattr(module, "find_spec", lambda name: None)
    study = write_study(
        {
            MODEL: "source: bundled:tiny-1m-chat\n    gpus: 1",
            "recipe: quick": "recipe: quick\n    sharding: zero3",
        }
    )
    check(load(study))


def test_a_scripted_model_is_never_looked_for(tmp_path: Path) -> None:
    assert resolve_model_path(Model(source="../../x", engine="scripted"), tmp_path) == "../../x"


def test_packed_rows_need_a_model_that_separates_them(write_study: WriteStudy, tmp_path: Path) -> None:
    folder = shutil.copytree(bundled.path("tiny-1m-chat"), tmp_path / "mine")
    (folder / "config.json").write_text('{"model_type": "bloom"}')
    path = write_study({MODEL: "source: ./mine", "epochs: 1": "packing: true"})
    (found,) = problems(path)
    assert found.partition(": ")[2] == (
        "students[0].recipe: the recipe 'quick' packs rows, but 'bloom' has ALiBi instead of positions, so "
        "rows would see each other. "
        "Remove 'packing: true': padded rows are trained with the same result."
    )
