"""Sizes of a decoder, computed from its config.json without loading weights.

The sizes of common families are computed. Others are built with transformers on PyTorch's meta device and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cluster.errors import ClusterError


@dataclass(frozen=True, slots=True)
class Architecture:
    """Sizes of a model: all `parameters`, those `active` per token (fewer with experts), and its dimensions.

    `unquantised` are those that quantised checkpoints keep in 16 bit: embeddings and the output layer.
    `linear` is the sum of inputs and outputs of all linear layers, which is the size of a LoRA adapter per rank.
    """

    parameters: int
    active: int
    linear: int
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    unquantised: int = 0


@dataclass(frozen=True, slots=True)
class _Family:
    """How a model type differs from Llama: biases of q, k and v, norms per head, number of norms per layer."""

    qkv_bias: bool = False
    head_norms: bool = False
    norms: int = 2
    tied: bool = False
    always_experts: bool = False


_FAMILIES = {
    "llama": _Family(),
    "mistral": _Family(),
    "phi3": _Family(),
    "mixtral": _Family(always_experts=True),
    "qwen2": _Family(qkv_bias=True),
    "qwen3": _Family(head_norms=True),
    "qwen3_moe": _Family(head_norms=True, always_experts=True),
    "gemma": _Family(tied=True),
    "gemma2": _Family(norms=4, tied=True),
    "gemma3_text": _Family(head_norms=True, norms=4, tied=True),
}


def architecture(config: Mapping[str, Any]) -> Architecture:
    """Return the sizes of the model that a config.json describes.

    Raises:
        ClusterError: It does not describe a decoder that transformers knows.
    """
    family = _FAMILIES.get(str(config.get("model_type")))
    # mixtures of experts that also have dense layers are counted
    if family is None or config.get("mlp_only_layers") or config.get("decoder_sparse_step", 1) != 1:
        return _count_parameters(config)
    return _compute_architecture(config, family)


def parameters_of(config: Mapping[str, Any], chosen: Callable[[str], bool]) -> int:
    """Return the number of parameters of the modules whose names are `chosen`, without embeddings and output layer.

    Raises:
        ClusterError: config.json does not describe a decoder that transformers knows.
    """
    model, _ = _meta_model(config)
    ends = {id(part.weight) for part in (model.get_input_embeddings(), model.get_output_embeddings()) if part}
    inner = [(name, weights) for name, weights in model.named_parameters() if id(weights) not in ends]
    return sum(weights.numel() for name, weights in inner if chosen(name.removesuffix(".weight").removesuffix(".bias")))


def _compute_architecture(config: Mapping[str, Any], family: _Family) -> Architecture:
    shape = _shape(config)
    hidden, layers, vocabulary = shape["hidden"], shape["layers"], shape["vocabulary"]
    queries, keys = shape["heads"] * shape["head_dim"], shape["kv_heads"] * shape["head_dim"]
    attention = 2 * hidden * queries + 2 * hidden * keys
    if family.qkv_bias or config.get("attention_bias", False):
        attention += queries + 2 * keys + (0 if family.qkv_bias else hidden)
    attention += 2 * shape["head_dim"] if family.head_norms else 0
    experts = config.get("num_local_experts") or config.get("num_experts") or 0 if family.always_experts else 0
    intermediate_size = int((config.get("moe_intermediate_size") if experts else None) or config["intermediate_size"])
    mlp = 3 * hidden * intermediate_size + (2 * intermediate_size + hidden if config.get("mlp_bias", False) else 0)
    chosen = int(config.get("num_experts_per_tok", 2)) if experts else 1
    router = hidden * experts
    embedding_parameters = vocabulary * hidden + hidden + _head_parameters(config, family, hidden, vocabulary)
    layer = attention + family.norms * hidden + router
    linear_sizes = 2 * (hidden + queries) + 2 * (hidden + keys) + (experts or 1) * 3 * (hidden + intermediate_size)
    return Architecture(
        parameters=embedding_parameters + layers * (layer + max(1, experts) * mlp),
        active=embedding_parameters + layers * (layer + chosen * mlp),
        linear=layers * linear_sizes,
        unquantised=embedding_parameters,
        **shape,
    )


def _head_parameters(config: Mapping[str, Any], family: _Family, hidden: int, vocabulary: int) -> int:
    """Return the parameters of the output layer: over the vocabulary or labels; 0 if it is tied to the embeddings."""
    if any("SequenceClassification" in name for name in config.get("architectures") or ()):
        return hidden * len(config.get("id2label") or (0, 1))
    return 0 if config.get("tie_word_embeddings", family.tied) else vocabulary * hidden


def _shape(config: Mapping[str, Any]) -> dict[str, int]:
    try:
        heads, hidden = int(config["num_attention_heads"]), int(config["hidden_size"])
        return {
            "layers": int(config["num_hidden_layers"]),
            "hidden": hidden,
            "heads": heads,
            "kv_heads": int(config.get("num_key_value_heads") or heads),
            "head_dim": int(config.get("head_dim") or hidden // heads),
            "vocabulary": int(config["vocab_size"]),
        }
    except KeyError as error:
        raise ClusterError(f"the model's config.json has no {error}, so its memory cannot be estimated") from error


def _meta_model(config: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return a model without weights and its config, as transformers makes them."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        loaded = AutoConfig.for_model(**config)
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(loaded), loaded
    except (ValueError, KeyError, TypeError) as error:
        raise ClusterError(f"transformers has no model of type '{config.get('model_type')}': {error}") from error


def _count_parameters(config: Mapping[str, Any]) -> Architecture:
    import torch

    model, loaded = _meta_model(config)
    count = sum(weights.numel() for weights in model.parameters())
    head = model.get_output_embeddings()
    inner = [layer for layer in model.modules() if layer is not head]
    linear = sum(sum(layer.weight.shape) for layer in inner if isinstance(layer, torch.nn.Linear))
    ends = {
        id(layer.weight): layer.weight.numel() for layer in (model.get_input_embeddings(), head) if layer is not None
    }
    shape = _shape(loaded.get_text_config().to_dict() | dict(config))
    return Architecture(count, count, linear, **shape, unquantised=sum(ends.values()))
