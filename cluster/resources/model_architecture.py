"""How large a decoder is, by its config.json alone: no weights are loaded, and for common families nothing is imported.

Other families are built by transformers without memory (on PyTorch's meta device) and counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cluster.errors import ClusterError


@dataclass(frozen=True, slots=True)
class Architecture:
    """Counts of a model: all `parameters`, those `active` for one token (less with experts), and what decides the
    memory of caches and activations. `linear` sums inputs and outputs of all linear layers: LoRA's size per rank."""

    parameters: int
    active: int
    linear: int
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int


@dataclass(frozen=True, slots=True)
class _Family:
    """In what a model type differs from Llama: biases of q, k and v; norms of each head; norms of a layer."""

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
    """The sizes that a config.json describes. ClusterError if it describes no decoder that transformers knows."""
    family = _FAMILIES.get(str(config.get("model_type")))
    # a mixture with layers that are not mixtures: rather counted than computed
    if family is None or config.get("mlp_only_layers") or config.get("decoder_sparse_step", 1) != 1:
        return _count_parameters(config)
    return _compute_architecture(config, family)


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
        **shape,
    )


def _head_parameters(config: Mapping[str, Any], family: _Family, hidden: int, vocabulary: int) -> int:
    """The output layer: over the vocabulary, over labels, or the embeddings once more."""
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
        raise ClusterError(f"the model's config.json has no {error}: its memory can not be estimated") from error


def _count_parameters(config: Mapping[str, Any]) -> Architecture:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        loaded = AutoConfig.for_model(**config)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(loaded)
    except (ValueError, KeyError, TypeError) as error:
        raise ClusterError(f"transformers knows no model of type '{config.get('model_type')}': {error}") from error
    count = sum(weights.numel() for weights in model.parameters())
    inner = [layer for layer in model.modules() if layer is not model.get_output_embeddings()]
    linear = sum(sum(layer.weight.shape) for layer in inner if isinstance(layer, torch.nn.Linear))
    return Architecture(count, count, linear, **_shape(loaded.get_text_config().to_dict() | dict(config)))
