"""Loads a model's config, and refuses architectures that cannot be used."""

from __future__ import annotations

from typing import Any

from actors.engine import LoadError


def load_config(model: str, revision: str | None) -> Any:
    """Return the model's config.

    Raises:
        LoadError: transformers does not have the architecture. Code in a model's folder is never run.
        OSError: There is no config.json.
    """
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(model, revision=revision, trust_remote_code=False)
    except (ValueError, KeyError) as error:
        if "trust_remote_code" in str(error) or "custom code" in str(error):
            reason = "its architecture is code in its own folder, which is never run"
        elif "does not recognize" in str(error) or "Unrecognized model" in str(error):
            reason = "the installed transformers does not have its architecture ('model_type' in config.json)"
        else:
            raise
        raise LoadError(model, f"{reason}. Use a model of an architecture that transformers has") from None


def load_decoder_config(model: str, revision: str | None) -> Any:
    """Return the config of a model that continues text.

    Raises:
        LoadError: The model is an encoder-decoder or an encoder, or as for `load_config`.
    """
    config = load_config(model, revision)
    if problem := decoder_problem(config.to_dict()):
        raise LoadError(model, problem)
    return config


def decoder_problem(config: dict[str, Any]) -> str:
    """Return why the model of a config.json cannot continue text; empty if it may."""
    kind = str(config.get("model_type"))
    if config.get("is_encoder_decoder"):
        return f"'{kind}' is an encoder-decoder; evolgrid uses decoder-only language models"
    if kind in ENCODERS and not config.get("is_decoder"):
        return f"'{kind}' is an encoder, which cannot continue text; evolgrid uses decoder-only language models"
    return ""


# encoders that transformers loads as a causal LM without the causal mask
ENCODERS = frozenset(
    "bert big_bird camembert data2vec-text electra ernie megatron-bert rembert roberta roberta-prelayernorm roc_bert "
    "roformer xlm xlm-roberta xlm-roberta-xl xmod".split()
)
