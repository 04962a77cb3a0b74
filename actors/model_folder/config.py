"""Loads a model's config, and refuses architectures that cannot be used."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from actors.engine import LoadError

OWN_CODE = "its architecture is code in its own folder, which is never run"
UNKNOWN_ARCHITECTURE = "the installed transformers does not have its architecture ('model_type' in config.json)"
ARCHITECTURE_REMEDY = "Use a model of an architecture that transformers has"


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
            reason = OWN_CODE
        elif "does not recognize" in str(error) or "Unrecognized model" in str(error):
            reason = UNKNOWN_ARCHITECTURE
        else:
            raise
        raise LoadError(model, f"{reason}. {ARCHITECTURE_REMEDY}") from None


def unknown_architecture(config: dict[str, Any]) -> str:
    """Return why the installed transformers does not have the architecture of a config.json; empty if it may.

    Its source is searched, as an import takes seconds.
    """
    kind, known = config.get("model_type"), _architecture_tables()
    if not isinstance(kind, str) or not known or any(f'"{kind}"' in table for table in known):
        return ""
    return OWN_CODE if config.get("auto_map") else UNKNOWN_ARCHITECTURE


@lru_cache(maxsize=1)
def _architecture_tables() -> tuple[str, ...]:
    """Return the source of the modules in which transformers lists the architectures; none if they are not found."""
    package = find_spec("transformers")
    folders = [Path(place, "models", "auto") for place in (package and package.submodule_search_locations) or ()]
    files = [folder / name for folder in folders for name in ("configuration_auto.py", "auto_mappings.py")]
    tables = [file.read_text(encoding="utf-8") for file in files if file.is_file()]
    return tuple(tables) if any('"llama"' in table for table in tables) else ()


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
