"""Loads a sequence classifier: only safetensors, never code from a model folder, never a head with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from actors.devices import device_name, dtype_name
from actors.engine import EngineSpec, LoadError
from actors.inference.model_loading import is_adapter
from actors.model_folder.config import load_config
from actors.model_folder.weights import load_complete

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

SUPPORTED_CHECKPOINTS = (
    "a checkpoint of AutoModelForSequenceClassification, a one-row 'v_head' or ArmoRM's gated head, on an architecture "
    "that transformers itself has"
)
_VALUE_HEAD, _GATED = "v_head.weight", "regression_layer.weight"


def load_classifier(spec: EngineSpec) -> Any:
    """Return the classifier in evaluation mode on the best device, a module with `config`, `device` and logits.

    Raises:
        OSError: If there are no safetensors.
        LoadError: If weights are missing or differ from the config, or the config needs code from the folder.
        ValueError: If the checkpoint is an adapter or has no supported head.
    """
    if is_adapter(spec.model):
        raise ValueError(f"an adapter cannot be a classifier: merge it with its base, into {SUPPORTED_CHECKPOINTS}")
    config, folder = _config(spec), _folder(spec)
    names = _tensor_names(folder)
    dtype = dtype_name(spec.dtype, device_name())
    load = _load_gated if _GATED in names else _load_value_head if _VALUE_HEAD in names else _load_plain
    return load(folder, config, dtype).to(device_name()).eval()


def label_names(config: Any) -> tuple[str, ...]:
    """Return the names of a classifier's logits, in their order."""
    return tuple(str(config.id2label[number]) for number in range(config.num_labels))


def text_length(spec: EngineSpec, config: Any, tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the maximum tokens of one text or pair: the spec's, limited by the model's config and tokenizer."""
    positions = int(getattr(config.get_text_config(), "max_position_embeddings", spec.max_length))
    return min(spec.max_length, positions, tokenizer.model_max_length)


def _config(spec: EngineSpec) -> Any:
    """Return the model's config, with the key-value cache turned off.

    Raises:
        LoadError: If the config needs code from the model's folder.
    """
    config = load_config(spec.model, spec.revision)
    config.get_text_config().use_cache = False  # nothing is generated
    return config


def _folder(spec: EngineSpec) -> str:
    """Return the folder of the model's safetensors; a hub model is downloaded."""
    if Path(spec.model).is_dir():
        return spec.model
    from huggingface_hub import snapshot_download

    return snapshot_download(spec.model, revision=spec.revision, allow_patterns=["*.json", "*.safetensors"])


def _tensor_names(folder: str) -> set[str]:
    from safetensors import safe_open

    names: set[str] = set()
    for path in Path(folder).glob("*.safetensors"):
        with safe_open(path, "pt") as tensors:
            names.update(tensors.keys())
    return names


def _load_plain(folder: str, config: Any, dtype: str, **arguments: Any) -> Any:
    from transformers import AutoModelForSequenceClassification

    return _load(AutoModelForSequenceClassification, folder, config, dtype, **arguments)[0]


def _load_value_head(folder: str, config: Any, dtype: str) -> Any:
    """Load a checkpoint with a one-row head named `v_head`, as InternLM's reward models have."""
    config.num_labels = 1
    return _load_plain(folder, config, dtype, key_mapping={r"^v_head\.": "score."})


def _load_gated(folder: str, config: Any, dtype: str) -> Any:
    from transformers import AutoModel

    from actors.inference.reward_heads import GatedReward

    config.num_labels = 1
    body, unknown = _load(AutoModel, folder, config, dtype)
    return GatedReward(body, _tensors(folder, unknown))


def _tensors(folder: str, names: list[str]) -> dict[str, Tensor]:
    from safetensors import safe_open

    found: dict[str, Tensor] = {}
    for path in Path(folder).glob("*.safetensors"):
        with safe_open(path, "pt") as tensors:
            found |= {name: tensors.get_tensor(name) for name in tensors.keys() if name in names}  # noqa: SIM118
    return found


def _load(auto: Any, folder: str, config: Any, dtype: str, **arguments: Any) -> tuple[Any, list[str]]:
    """Return a model and the names of the tensors in the folder that it does not use.

    Raises:
        LoadError: If the folder does not have exactly the model's weights.
    """
    try:
        return load_complete(auto, folder, config=config, dtype=dtype, **arguments)
    except LoadError as error:
        raise LoadError(error.model, f"{error.detail}. Supported is {SUPPORTED_CHECKPOINTS}") from None
