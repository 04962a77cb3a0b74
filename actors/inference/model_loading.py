"""Loads a causal LM and its tokenizer: only safetensors, and never code from a model folder."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actors.devices import device_name, dtype_name
from actors.engine import EngineSpec, LoadError
from actors.model_folder.config import load_decoder_config
from actors.model_folder.files import check_files
from actors.model_folder.quantisation import quantisation
from actors.model_folder.tokenizer_file import tokenizer_of
from actors.model_folder.weights import first_names, load_complete

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def load_tokenizer(spec: EngineSpec) -> PreTrainedTokenizerBase:
    """Return the model's tokenizer, with a padding token and the chat template that the spec asks for.

    Raises:
        LoadError: It does not split text as its tokenizer.json says.
    """
    from actors.inference.chat_template import set_template

    tokenizer = tokenizer_of(spec.model, spec.revision)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    set_template(tokenizer, spec.chat_template, dict(spec.template_args), spec.student_template)
    return tokenizer


def load_model(spec: EngineSpec) -> PreTrainedModel:
    """Return the model in evaluation mode on the best device. A LoRA adapter is merged into its base.

    Raises:
        LoadError: Weights are missing, or differ from what the config says; or it is not a decoder.
        OSError: There are no safetensors.
    """
    device = device_name()
    config = load_decoder_config(base_model(spec.model), spec.revision)
    arguments = {"config": config, "revision": spec.revision, "dtype": dtype_name(spec.dtype, device)}
    load = _merged_adapter if is_adapter(spec.model) else load_decoder
    return load(spec.model, **arguments).to(device).eval()


def load_decoder(model: str, **arguments: Any) -> Any:
    """Return a causal LM with all of its weights, without the generation settings of its folder.

    Raises:
        LoadError: Weights are missing, or differ from what the config says.
        OSError: There are no safetensors.
    """
    from transformers import AutoModelForCausalLM

    return load_complete(AutoModelForCausalLM, model, **arguments)[0]


def check_numbers(name: str, model: Any) -> None:
    """Check that a model computes numbers, by reading a single token.

    Raises:
        LoadError: It does not: a training diverged, or the dtype is too narrow for its weights.
    """
    import torch

    with torch.inference_mode():
        logits = model(torch.zeros((1, 1), dtype=torch.long, device=model.device)).logits
    if logits.isnan().any():
        broken = [part for part, weights in model.named_parameters() if not weights.isfinite().all()]
        cause = f"NaN or infinity in {first_names(broken)}" if broken else f"{model.dtype} is too narrow for them"
        raise LoadError(name, f"its weights give no numbers: {cause}. Use another checkpoint or 'dtype'")


def check_weights(spec: EngineSpec, config: Any) -> None:
    """Check the names and shapes of a model's weights, without reading the weights themselves.

    This is for engines that load them with their own code. Quantised weights, and architectures of which transformers
    has no causal LM, are left to these.

    Raises:
        LoadError: Weights of the model or of its adapter are missing, or differ from what the config says.
        OSError: There are no safetensors.
    """
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING

    if quantisation(config.to_dict()) or type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        return
    model = load_decoder(base_model(spec.model), config=config, revision=spec.revision, device_map={"": "meta"})
    if is_adapter(spec.model):
        from peft import PeftConfig, get_peft_model

        _check_adapter(get_peft_model(model, PeftConfig.from_pretrained(spec.model)), spec.model)


def usable_length(max_length: int, config: Any) -> int:
    """Return the maximum tokens of a conversation: `max_length`, limited by the positions of the model."""
    return min(max_length, int(getattr(config.get_text_config(), "max_position_embeddings", max_length)))


def is_adapter(model: str) -> bool:
    """Return whether this folder contains a LoRA adapter as peft saves it, and not a whole model."""
    return Path(model, "adapter_config.json").is_file()


def base_model(model: str) -> str:
    """Return the model itself, or the base of the LoRA adapter in this folder."""
    return adapter_base(model) if is_adapter(model) else model


def adapter_base(folder: str) -> str:
    """Return the base model that a LoRA adapter's folder names.

    Raises:
        FileNotFoundError: If the base is a folder that does not exist.
        ValueError: If no base is named.
    """
    from peft import PeftConfig

    base = PeftConfig.from_pretrained(folder).base_model_name_or_path
    if base is None:
        remedy = "write its folder or name into adapter_config.json, as 'base_model_name_or_path'"
        raise ValueError(f"adapter folder {folder} does not name its base model: {remedy}")
    check_folder(base)
    return base


def adapter_rank(folder: str) -> int:
    """Return the rank of the LoRA adapter in this folder.

    Raises:
        FileNotFoundError: If there are no safetensors of the adapter.
        ValueError: If the adapter is not a LoRA adapter.
    """
    from peft import LoraConfig, PeftConfig

    if not Path(folder, "adapter_model.safetensors").is_file():
        raise FileNotFoundError(f"adapter folder {folder} has no adapter_model.safetensors")
    config = PeftConfig.from_pretrained(folder)
    if not isinstance(config, LoraConfig):
        raise ValueError(f"the adapter in {folder} is not a LoRA adapter")
    return max([config.r, *(config.rank_pattern or {}).values()])


def linear_names(config: Any) -> list[str]:
    """Return the names of the linear layers of a model with this config, without the output layer, sorted."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):  # shapes only
        model = AutoModelForCausalLM.from_config(config)
    head = model.get_output_embeddings()
    layers = [name for name, part in model.named_modules() if isinstance(part, torch.nn.Linear) and part is not head]
    return sorted({name.rpartition(".")[2] for name in layers})


def check_folder(model: str) -> None:
    """Raise FileNotFoundError for a path that is not a folder. Hub names `owner/name` pass."""
    looks_like_path = model.startswith(("/", ".", "~")) or model.count("/") > 1
    if looks_like_path and not Path(model).is_dir():
        raise FileNotFoundError(f"model folder {model} does not exist")


def _merged_adapter(folder: str, **arguments: Any) -> Any:
    from peft import PeftModel

    adapter_rank(folder)  # raises if there are no safetensors
    base = adapter_base(folder)
    check_files(base)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Found missing adapter keys")  # they are an error below
        adapted = PeftModel.from_pretrained(load_decoder(base, **arguments), folder)
    _check_adapter(adapted, folder)
    return adapted.merge_and_unload()


def _check_adapter(adapted: Any, folder: str) -> None:
    """Raise LoadError unless the adapter has weights for exactly the layers of the base that it names."""
    from peft import get_peft_model_state_dict
    from safetensors import safe_open

    expected = set(get_peft_model_state_dict(adapted))
    with safe_open(f"{folder}/adapter_model.safetensors", "np") as weights:
        found = set(weights.keys())
    for reason, names in (("lacks", expected - found), ("has weights unknown to its base:", found - expected)):
        if names:
            raise LoadError(folder, f"the adapter {reason} {first_names(names)}. Its base is {adapter_base(folder)}")
