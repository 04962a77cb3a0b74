"""Which class is behind an engine's name. Each is imported only when it is wanted."""

from __future__ import annotations

from actors.engine import Engine, EngineSpec
from actors.inference.model_loading import CHECKPOINT_ENGINES, check_folder

ENGINE_NAMES = (*CHECKPOINT_ENGINES, "http", "scripted")


def resolve(engine: str, gpus: float) -> str:
    """The engine that `auto` stands for: vLLM for a model with GPUs, else transformers. Other names stay."""
    return ("vllm" if gpus > 0 else "transformers") if engine == "auto" else engine


def create(spec: EngineSpec) -> Engine:
    """Load the model with the engine that the spec names.

    ValueError for an unknown engine or option, FileNotFoundError for a missing folder; whatever the engine raises if
    the model can not be loaded.
    """
    if spec.engine in CHECKPOINT_ENGINES:
        check_folder(spec.model)  # before torch is imported: the commonest mistake is told at once
    match spec.engine:
        case "transformers":
            from actors.engines.transformers_engine import TransformersEngine

            return TransformersEngine(spec)
        case "vllm":
            from actors.engines.vllm_engine import VllmEngine

            return VllmEngine(spec)
        case "classifier":
            from actors.engines.classifier_engine import ClassifierEngine

            return ClassifierEngine(spec)
        case "http":
            from actors.engines.http_engine import HttpEngine

            return HttpEngine(spec)
        case "scripted":
            from actors.engines.scripted_engine import ScriptedEngine

            return ScriptedEngine(spec)
        case other:
            raise ValueError(f"unknown engine {other!r}: one of {', '.join(ENGINE_NAMES)}")
