"""Loads a causal LM and its tokenizer: only safetensors, and never code from a model folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from actors.engine import EngineSpec

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase


def load_tokenizer(spec: EngineSpec) -> PreTrainedTokenizerBase:
    """Return the model's tokenizer, with a padding token and the chat template that the spec asks for."""
    from transformers import AutoTokenizer

    from actors.inference.chat_template import set_template

    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        spec.model, revision=spec.revision, trust_remote_code=False
    )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    set_template(tokenizer, spec.chat_template, dict(spec.template_args), spec.student_template)
    return tokenizer


def load_model(spec: EngineSpec) -> PreTrainedModel:
    """Return the model in evaluation mode on the best device. A LoRA adapter is merged into its base.

    Raises:
        OSError: If there are no safetensors.
    """
    from transformers import AutoModelForCausalLM

    device = device_name()
    arguments: dict[str, Any] = {"revision": spec.revision, "dtype": dtype_name(spec.dtype, device)}
    arguments |= {"use_safetensors": True, "trust_remote_code": False}
    load = _merged_adapter if is_adapter(spec.model) else AutoModelForCausalLM.from_pretrained
    model: Any = load(spec.model, **arguments)
    return model.to(device).eval()


def load_defaults(spec: EngineSpec) -> GenerationConfig | None:
    """Return the model's own generation settings, which name its stop tokens; None if it has none."""
    from transformers import GenerationConfig

    try:
        return GenerationConfig.from_pretrained(spec.model, revision=spec.revision or "main")
    except OSError:
        return None


def usable_length(spec: EngineSpec, config: Any) -> int:
    """Return the maximum tokens of prompt and reply together: the spec's, limited by the positions of the model."""
    return min(spec.max_length, int(getattr(config, "max_position_embeddings", spec.max_length)))


def device_name() -> str:
    """Return `cuda` if there is a CUDA device, else `cpu`."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def dtype_name(dtype: str, device: str) -> str:
    """Return the dtype of the weights: `auto` is float32 on a CPU and bfloat16 on a GPU.

    Raises:
        ValueError: If `dtype` is unknown.
    """
    names = ("float32", "bfloat16", "float16")
    if dtype == "auto":
        return "float32" if device == "cpu" else "bfloat16"
    if dtype not in names:
        raise ValueError(f"unknown dtype {dtype!r}: one of auto, {', '.join(names)}")
    return dtype


def is_adapter(model: str) -> bool:
    """Return whether this folder contains a LoRA adapter as peft saves it, and not a whole model."""
    return Path(model, "adapter_config.json").is_file()


def adapter_base(folder: str) -> str:
    """Return the base model that a LoRA adapter's folder names.

    Raises:
        FileNotFoundError: If the base is a folder that does not exist.
        ValueError: If no base is named.
    """
    from peft import PeftConfig

    base = PeftConfig.from_pretrained(folder).base_model_name_or_path
    if base is None:
        raise ValueError(f"adapter folder {folder} does not name its base model")
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
    from transformers import AutoModelForCausalLM

    adapter_rank(folder)  # raises if there are no safetensors
    model = AutoModelForCausalLM.from_pretrained(adapter_base(folder), **arguments)
    return PeftModel.from_pretrained(model, folder).merge_and_unload()
