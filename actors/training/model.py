"""Loads and saves a student: tokenizer, weights, LoRA adapter."""

from __future__ import annotations

import json
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoConfig, PreTrainedModel, PreTrainedTokenizerBase

from actors.inference.chat_template import set_template
from actors.inference.model_loading import load_decoder
from actors.model_folder.config import load_decoder_config
from actors.model_folder.files import check_files
from actors.model_folder.generation_settings import folder_stop_ids, remove_settings
from actors.model_folder.tokenizer_file import tokenizer_of
from actors.training.packed_attention import attention_for
from actors.training.spec import ALL_LINEAR, TrainSpec
from cluster.filesystems import flush_tree
from cluster.resources.bfloat16 import has_native_bfloat16

_WITH_MAMBA = ("falcon_h1", "nemotron_h")

if TYPE_CHECKING:
    from peft import PeftModel


def load_tokenizer(spec: TrainSpec) -> PreTrainedTokenizerBase:
    """Return the base's tokenizer with the chat template that the student keeps.

    A base without a template gets the plain one. Unless the student learns thoughts, those that the generation prompt
    opens are closed.

    Raises:
        LoadError: The base's files are incomplete, or its tokenizer does not split text as its tokenizer.json says.
    """
    check_files(spec.base)
    tokenizer = tokenizer_of(spec.base, spec.revision)
    set_template(tokenizer, spec.chat_template, dict(spec.template_args), "open" if spec.thinking else "closed")
    return tokenizer


def compute_dtype(spec: TrainSpec, on_gpu: bool) -> torch.dtype:
    """Return the dtype of computation: that of the saved weights, but an emulated one only if the spec demands it."""
    emulated = spec.dtype == "auto" and not on_gpu and not has_native_bfloat16()
    return torch.float32 if emulated else saved_dtype(spec)


def saved_dtype(spec: TrainSpec) -> torch.dtype:
    """Return the dtype of the student's saved weights."""
    if spec.dtype != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[spec.dtype]
    saved = AutoConfig.from_pretrained(spec.base, revision=spec.revision).dtype
    return torch.bfloat16 if saved == torch.bfloat16 else torch.float32


def load_model(spec: TrainSpec, held: torch.dtype) -> PreTrainedModel | PeftModel:
    """Load the base, with a new LoRA adapter if the spec says so. `held` is the dtype of frozen weights.

    Weights that are trained are always float32: AdamW's small updates would vanish in bfloat16. Of the base's
    generation settings, the student keeps the ids that end a reply.

    Raises:
        LoadError: The base's weights are not those of its config, or it is not a decoder.
    """
    dtype = torch.float32 if spec.tuning == "full" else held
    config = load_decoder_config(spec.base, spec.revision)
    attention = attention_for(config, spec.packing)
    model = load_decoder(spec.base, config=config, revision=spec.revision, dtype=dtype, attn_implementation=attention)
    remove_settings(model, folder_stop_ids(spec.base, spec.revision, config))
    if spec.tuning == "full":
        return model
    from peft import LoraConfig, get_peft_model
    from transformers.pytorch_utils import Conv1D

    adapter = LoraConfig(
        r=spec.lora_rank,
        lora_alpha=spec.lora_alpha,
        lora_dropout=spec.lora_dropout,
        target_modules=ALL_LINEAR if ALL_LINEAR in spec.lora_targets else list(spec.lora_targets),
        exclude_modules=_excluded_from_lora(config),
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in model.modules()),  # weights as GPT-2 has them
        task_type="CAUSAL_LM",
    )
    with warnings.catch_warnings():
        # peft itself adds a rank for fused experts, and then warns where no adapter is on them
        warnings.filterwarnings("ignore", r"The following (rank|alpha)_pattern keys did not match", RuntimeWarning)
        return get_peft_model(model, adapter)  # pyright: ignore[reportReturnType]


def _excluded_from_lora(config: Any) -> list[str] | None:
    """Return the modules of Mamba's layers whose weights are read without a call of the module: LoRA has no effect."""
    return ["out_proj", "conv1d"] if "mamba" in config.model_type or config.model_type in _WITH_MAMBA else None


def save_student(model: Any, tokenizer: PreTrainedTokenizerBase, dtype: torch.dtype, target: str) -> None:
    """Write a Hugging Face folder to `target` (a path or URL): LoRA merged into the base, the adapter in `adapter/`.

    The model must not be used afterwards.
    """
    from fsspec.core import url_to_fs

    filesystem, path = url_to_fs(target)
    local = "file" in filesystem.protocol
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(path if local else temporary)
        if hasattr(model, "merge_and_unload"):
            _save_adapter(model, folder / "adapter")
            model = model.merge_and_unload()
        model.to(dtype).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        if local:
            flush_tree(folder)
        else:
            filesystem.put(str(folder), path, recursive=True)


def _save_adapter(model: Any, folder: Path) -> None:
    """Write the LoRA adapter. The files are the same wherever the base and the folder are.

    A base in a local folder is not named. peft writes sets of names in any order, and a card that names the base.
    """
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    file = folder / "adapter_config.json"
    config = json.loads(file.read_text())
    base = config["base_model_name_or_path"]
    if base and Path(base).exists():
        config["base_model_name_or_path"] = None
    for name in ("target_modules", "exclude_modules"):
        if isinstance(config.get(name), list):
            config[name] = sorted(config[name])
    file.write_text(json.dumps(config, indent=2, sort_keys=True))
