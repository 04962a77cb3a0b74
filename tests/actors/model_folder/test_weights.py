"""Checkpoints whose weights are not exactly those of their config are refused, in one line that names them."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

from actors.engine import EngineSpec, LoadError
from actors.engines.registry import create
from actors.inference.model_loading import base_model, check_weights
from actors.model_folder.config import load_config
from actors.model_folder.weights import load_complete
from actors.training.model import load_model
from actors.training.spec import TrainSpec


def changed(folder, target, change, file="model.safetensors", **settings):
    """A copy of a folder whose weights `change` has edited in place, with `settings` in its config."""
    shutil.copytree(folder, target)
    weights = load_file(target / file)
    change(weights)
    save_file(weights, target / file, metadata={"format": "pt"})
    if settings:
        config = json.loads((target / "config.json").read_text())
        (target / "config.json").write_text(json.dumps(config | settings))
    return target


def drop_head(weights):
    del weights["lm_head.weight"]


def drop_layer(weights):
    for name in [name for name in weights if name.startswith("model.layers.1.")]:
        del weights[name]


def shrink(weights):
    weights["model.embed_tokens.weight"] = weights["model.embed_tokens.weight"][:-3].clone()


def add_bias(weights):
    weights["model.layers.0.self_attn.q_proj.bias"] = torch.ones(64)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop_head, "the checkpoint has no weights for lm_head.weight"),
        (drop_layer, r"no weights for model.layers.1.input_layernorm.weight, .* and 6 more"),
        (shrink, r"model.embed_tokens.weight is \d+ x 64 in the checkpoint, but 300 x 64 by its config.json"),
        (add_bias, "has weights that its config.json does not: model.layers.0.self_attn.q_proj.bias"),
    ],
)
def test_wrong_weights_are_named(change, message, model_folder, tmp_path):
    folder = changed(model_folder, tmp_path / "model", change)
    with pytest.raises(LoadError, match=message) as caught:
        create(EngineSpec("transformers", str(folder)))
    assert "\n" not in str(caught.value)
    with pytest.raises(LoadError, match=message):
        load_model(TrainSpec(str(folder)), torch.float32)
    with pytest.raises(LoadError, match=message):  # before vLLM is imported
        create(EngineSpec("vllm", str(folder)))


def test_a_layer_that_the_config_does_not_have_is_refused(model_folder, tmp_path):
    folder = changed(model_folder, tmp_path / "model", lambda weights: None, num_hidden_layers=1)
    with pytest.raises(LoadError, match=r"has weights that its config.json does not: model.layers.1"):
        create(EngineSpec("transformers", str(folder)))


def test_weights_of_other_parts_are_left_out(model_folder, tmp_path):
    extra = {"vision_tower.a.weight": torch.ones(2), "model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(2)}
    folder = changed(model_folder, tmp_path / "model", lambda weights: weights.update(extra))
    _, unused = load_complete(AutoModelForCausalLM, str(folder))
    assert unused == sorted(extra) or unused == ["vision_tower.a.weight"]


def test_tied_embeddings_need_no_head(model_folder, tmp_path):
    folder = changed(model_folder, tmp_path / "model", drop_head, tie_word_embeddings=True)
    create(EngineSpec("transformers", str(folder))).close()


def test_an_adapters_base_is_checked(model_folder, adapter_folders, tmp_path):
    base = changed(model_folder, tmp_path / "base", drop_head)
    shutil.copytree(adapter_folders[0], tmp_path / "adapter")
    path = tmp_path / "adapter" / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"base_model_name_or_path": str(base)}))
    with pytest.raises(LoadError, match=f"{base} cannot be loaded: the checkpoint has no weights for lm_head.weight"):
        create(EngineSpec("transformers", str(tmp_path / "adapter")))


def test_an_adapters_own_weights_are_checked(adapter_folders, tmp_path):
    name = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
    file = "adapter_model.safetensors"
    lacking = changed(adapter_folders[0], tmp_path / "lacking", lambda weights: weights.pop(name), file)
    with pytest.raises(LoadError, match=f"the adapter lacks {name}"):
        create(EngineSpec("transformers", str(lacking)))
    with pytest.raises(LoadError, match=f"the adapter lacks {name}"):
        check_weights(EngineSpec("vllm", str(lacking)), load_config(base_model(str(lacking)), None))
    foreign = name.replace("layers.0", "layers.7")
    other = changed(adapter_folders[0], tmp_path / "other", lambda w: w.update({foreign: w[name].clone()}), file)
    with pytest.raises(LoadError, match=f"the adapter has weights unknown to its base: {foreign}"):
        create(EngineSpec("transformers", str(other)))


def test_only_plain_weights_of_known_architectures_are_checked_for_vllm(model_folder, adapter_folders, tmp_path):
    for folder in (model_folder, adapter_folders[0]):
        check_weights(EngineSpec("vllm", str(folder)), load_config(str(model_folder), None))
    folder = changed(model_folder, tmp_path / "fp8", drop_head, quantization_config={"quant_method": "fp8"})
    check_weights(EngineSpec("vllm", str(folder)), load_config(str(folder), None))
    check_weights(EngineSpec("vllm", str(tmp_path)), AutoConfig.for_model("clip"))


@pytest.mark.parametrize("kind", ["t5", "bert"])
def test_models_that_do_not_continue_text_are_refused(kind, model_folder, tmp_path):
    shutil.copytree(model_folder, tmp_path / "model")
    encoder_decoder = {"is_encoder_decoder": kind == "t5", "model_type": kind}
    (tmp_path / "model" / "config.json").write_text(json.dumps(encoder_decoder))
    with pytest.raises(LoadError, match=f"'{kind}' is an encoder.*decoder-only language models"):
        create(EngineSpec("transformers", str(tmp_path / "model")))


def test_weights_that_give_no_numbers_are_named(model_folder, tmp_path):
    def spoil(weights):
        weights["model.layers.0.mlp.up_proj.weight"][0, 0] = float("nan")

    folder = changed(model_folder, tmp_path / "model", spoil)
    with pytest.raises(LoadError, match=r"NaN or infinity in model.layers.0.mlp.up_proj.weight"):
        create(EngineSpec("transformers", str(folder)))


def test_an_unknown_quantisation_is_not_read_as_plain_weights(model_folder, tmp_path):
    quantised = {"quantization_config": {"quant_method": "another"}}
    folder = changed(model_folder, tmp_path / "model", lambda weights: None, **quantised)
    with pytest.raises(LoadError, match="does not have its quantisation 'another'"):
        create(EngineSpec("transformers", str(folder)))
    for tuning in ("full", "lora"):
        with pytest.raises(LoadError, match="another"):
            load_model(TrainSpec(str(folder), tuning=tuning), torch.float32)
