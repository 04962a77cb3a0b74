"""Loading a sequence classifier: safetensors only, never code from a model folder, never a head of random weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actors.engine import EngineSpec
from actors.loading import device_name, dtype_name, is_adapter

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

CHECKPOINT = "a checkpoint of AutoModelForSequenceClassification, of an architecture that transformers itself has"


def load_classifier(spec: EngineSpec) -> PreTrainedModel:
    """The classifier in evaluation mode on the best device.

    OSError if there are no safetensors; ValueError if the checkpoint has no head that can be run, or needs code from
    its own folder.
    """
    from transformers import AutoModelForSequenceClassification

    if is_adapter(spec.model):
        raise ValueError(f"an adapter is not run as a classifier: merge it with its base, into {CHECKPOINT}")
    config = load_config(spec)
    device = device_name()
    model, report = AutoModelForSequenceClassification.from_pretrained(
        spec.model,
        config=config,
        revision=spec.revision,
        dtype=dtype_name(spec.dtype, device),
        use_safetensors=True,
        trust_remote_code=False,
        output_loading_info=True,
    )
    _check_complete(report, config)
    return model.to(device).eval()


def load_config(spec: EngineSpec) -> Any:
    """The model's config, without a cache of keys and values. ValueError if only the folder's own code can read it."""
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(spec.model, revision=spec.revision, trust_remote_code=False)
    except ValueError as error:
        if "trust_remote_code" not in str(error):
            raise
        detail = (
            f"its architecture comes as code in its own folder, which is never run; what can be run is {CHECKPOINT}"
        )
        raise ValueError(detail) from None
    config.get_text_config().use_cache = False  # nothing is generated
    return config


def labels_of(config: Any) -> tuple[str, ...]:
    """The names of a classifier's logits, in their order."""
    return tuple(str(config.id2label[number]) for number in range(config.num_labels))


def text_length(spec: EngineSpec, config: Any, tokenizer: PreTrainedTokenizerBase) -> int:
    """Tokens of one text or pair: as the spec says, but no more than config and tokenizer allow."""
    positions = int(getattr(config.get_text_config(), "max_position_embeddings", spec.max_length))
    return min(spec.max_length, positions, tokenizer.model_max_length)


def _check_complete(report: dict[str, Any], config: Any) -> None:
    missing = sorted({*report["missing_keys"], *(entry[0] for entry in report["mismatched_keys"])})
    if not missing:
        return
    extra = sorted(report["unexpected_keys"])[:6]
    has = f"; it has {', '.join(extra)}, which {config.model_type} models of transformers do not know" if extra else ""
    raise ValueError(f"the checkpoint has no weights for {', '.join(missing[:6])}{has}. Needed is {CHECKPOINT}")
