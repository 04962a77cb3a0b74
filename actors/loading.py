"""Loading a causal LM and its tokenizer: safetensors only, never code from a model folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from actors.engine import EngineSpec

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def load_tokenizer(spec: EngineSpec) -> PreTrainedTokenizerBase:
    """The tokenizer in the model's folder. FileNotFoundError if a path is given that does not exist."""
    from transformers import AutoTokenizer

    check_folder(spec.model)
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        spec.model, revision=spec.revision, trust_remote_code=False
    )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(spec: EngineSpec) -> PreTrainedModel:
    """The model in evaluation mode on the best device; a LoRA adapter's folder gives its base with the adapter merged.

    `dtype` auto is float32 on a CPU and bfloat16 on a GPU. OSError if there are no safetensors.
    """
    import torch
    from transformers import AutoModelForCausalLM

    check_folder(spec.model)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    arguments: dict[str, Any] = {"revision": spec.revision, "dtype": torch_dtype(spec.dtype, device)}
    arguments |= {"use_safetensors": True, "trust_remote_code": False}
    if is_adapter(spec.model):
        return _merged_adapter(spec.model, arguments).to(device).eval()
    return AutoModelForCausalLM.from_pretrained(spec.model, **arguments).to(device).eval()


def torch_dtype(name: str, device: str) -> torch.dtype:
    """The torch type of `float32`, `float16`, `bfloat16` or `auto`; ValueError for any other name."""
    import torch

    names = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
    names["auto"] = torch.float32 if device == "cpu" else torch.bfloat16
    if name not in names:
        raise ValueError(f"unknown dtype {name!r}: one of {', '.join(names)}")
    return names[name]


def is_adapter(model: str) -> bool:
    """Whether this folder holds a LoRA adapter as peft saves it, rather than a whole model."""
    return Path(model, "adapter_config.json").is_file()


def check_folder(model: str) -> None:
    """FileNotFoundError for a path that is no folder; a hub name `owner/name` passes."""
    looks_like_path = model.startswith(("/", ".", "~")) or model.count("/") > 1
    if looks_like_path and not Path(model).is_dir():
        raise FileNotFoundError(f"model folder {model} does not exist")


def _merged_adapter(folder: str, arguments: dict[str, Any]) -> PreTrainedModel:
    from peft import PeftConfig, PeftModel
    from transformers import AutoModelForCausalLM

    if not Path(folder, "adapter_model.safetensors").is_file():
        raise FileNotFoundError(f"adapter folder {folder} has no adapter_model.safetensors")
    base = PeftConfig.from_pretrained(folder).base_model_name_or_path
    if base is None:
        raise ValueError(f"adapter folder {folder} does not name its base model")
    check_folder(base)
    model = AutoModelForCausalLM.from_pretrained(base, **arguments)
    return PeftModel.from_pretrained(model, folder).merge_and_unload()
