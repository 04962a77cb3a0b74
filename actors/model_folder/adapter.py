"""LoRA adapters that can be applied beside others to one loaded base: where their files are, and which ones they are.

A student's folder has its merged weights, its tokenizer with its chat template, and in `adapter/` what peft has saved.
A folder of peft alone is an adapter, too; without a tokenizer, it is used with that of its base.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from cluster.filesystems import file_system

ADAPTER_FOLDER = "adapter"
ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
_LOW_RANK = (".lora_A.weight", ".lora_B.weight")
# entries of adapter_config.json that say how an adapter was trained, or which layers it has: its weights show that
_IRRELEVANT = {
    *("auto_mapping", "base_model_name_or_path", "inference_mode", "init_lora_weights", "layers_pattern"),
    *("layers_to_transform", "loftq_config", "lora_dropout", "megatron_core", "peft_version", "revision", "task_type"),
    *("exclude_modules", "fan_in_fan_out", "target_modules", "qalora_group_size", "runtime_config"),
    *("eva_config", "corda_config", "lora_ga_config", "ensure_weight_tying"),
    *("r", "lora_alpha", "use_rslora", "peft_type"),
}


def adapter_folder(folder: str) -> Path:
    """Return where the files of peft are: in the sub-folder of a student's folder, or in the folder itself."""
    inner = Path(folder, ADAPTER_FOLDER)
    return inner if (inner / ADAPTER_CONFIG).is_file() else Path(folder)


def has_tokenizer(folder: str) -> bool:
    """Return whether a folder has a tokenizer of its own."""
    return Path(folder, "tokenizer_config.json").is_file()


def read_adapter_config(files: str) -> dict[str, Any]:
    """Return adapter_config.json in the folder of peft's files, a path or URL.

    Raises:
        OSError: The file is missing or cannot be read.
        ValueError: It is not a JSON object.
    """
    fs, path = file_system(files)
    config: object = json.loads(fs.cat_file(f"{path}/{ADAPTER_CONFIG}"))
    if not isinstance(config, dict):
        raise ValueError(f"{files}/{ADAPTER_CONFIG} is not a JSON object")
    return cast("dict[str, Any]", config)


def name_base(files: Path, base: str, revision: str | None) -> None:
    """Write the base's folder or hub name, and its commit, into adapter_config.json in the folder of peft's files.

    peft loads the base from there.

    Raises:
        OSError: The file is missing or cannot be written.
    """
    named = read_adapter_config(str(files)) | {"base_model_name_or_path": base, "revision": revision}
    (files / ADAPTER_CONFIG).write_text(json.dumps(named, indent=2, sort_keys=True), encoding="utf-8")


def weight_names(files: str) -> list[str]:
    """Return the names of an adapter's weights from the header of their file, in a folder at a path or URL.

    Raises:
        OSError: The file is missing or cannot be read.
        ValueError: It is not a safetensors file.
    """
    fs, path = file_system(files)
    with fs.open(f"{path}/{ADAPTER_WEIGHTS}", "rb") as file:
        header: dict[str, Any] = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return [name for name in header if name != "__metadata__"]


def saved_adapter_problem(student: str) -> str:
    """Return why the student in a folder or at a URL cannot share its base with others; empty if it can.

    Raises:
        OSError: The store cannot be read.
    """
    files = f"{student}/{ADAPTER_FOLDER}"
    try:
        return sharing_problem(read_adapter_config(files), weight_names(files))
    except FileNotFoundError:
        return "it has no adapter"
    except ValueError as error:  # the files are damaged: the merged weights decide
        return f"its adapter cannot be read: {error}"


def sharing_problem(config: Mapping[str, Any], weights: Iterable[str]) -> str:
    """Return why an adapter cannot be applied beside others; empty if it can.

    Only plain low-rank updates of inner linear layers can: not DoRA, trained embeddings or heads, other modules saved
    whole, biases, or ranks that differ between layers.

    Args:
        config: The content of adapter_config.json.
        weights: The names of the adapter's weights.
    """
    if config.get("peft_type") != "LORA":
        return f"it is of type {config.get('peft_type')}, not LORA"
    used = sorted(name for name, value in config.items() if name not in _IRRELEVANT and value not in (None, "none"))
    if others := [name for name in used if config[name]]:
        return f"it has {', '.join(others)}"
    if whole := sorted(
        name for name in weights if not name.endswith(_LOW_RANK) or "lm_head" in name or "embed" in name
    ):
        return f"it changes {whole[0]}"
    return ""


def scaling(config: Mapping[str, Any]) -> float:
    """Return the factor of an adapter's update. (LoRA, 2106.09685, section 4.1; rsLoRA: 2312.03732.)"""
    rank = float(config["r"])
    return float(config["lora_alpha"]) / (rank**0.5 if config.get("use_rslora") else rank)
