"""What evolgrid knows about each engine, as plain data, and how a spec's engine is loaded.

To add an engine, write its module and add its record here: everything else reads this table.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Literal

from actors.engine import Engine, EngineSpec
from actors.inference.model_loading import check_folder

MemoryModel = Literal["one_device", "tensor_parallel", "remote", "none"]
"""Where a model's weights are: on one device; divided among a replica's GPUs; on somebody else's server; nowhere."""
AUTO_ENGINE = "auto"


@dataclass(frozen=True, slots=True)
class RequiredOption:
    """An option that an engine cannot do without, and what a study that does not give it is told."""

    name: str
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """One engine. Nothing here imports the engine, torch or Ray.

    `loader` ("module:callable") takes an EngineSpec and returns the Engine with its model loaded.
    `default_max_ongoing_requests` are those at one replica unless the study says otherwise: more than the engine works
    on at once, so that requests and answers travel in bulk. `spans_nodes`: one replica's GPUs may be on several nodes.
    `generates`: it writes and scores text; `classifies`: it gives a classifier's logits. `needs_package` is a package
    that evolgrid does not install by itself, and `install_hint` how to install it.
    """

    loader: str
    default_max_ongoing_requests: int
    memory_model: MemoryModel = "one_device"
    spans_nodes: bool = False
    generates: bool = True
    classifies: bool = False
    needs_package: str | None = None
    install_hint: str = ""
    required_option: RequiredOption | None = None

    @property
    def has_weights(self) -> bool:
        """Whether a model's source is a checkpoint (a folder or a hub name). If not, it is only a name."""
        return self.memory_model in ("one_device", "tensor_parallel")


ENGINES: dict[str, EngineInfo] = {
    "transformers": EngineInfo("actors.engines.transformers_engine:TransformersEngine", 64),
    "vllm": EngineInfo(
        "actors.engines.vllm_engine:VllmEngine",
        512,
        memory_model="tensor_parallel",
        spans_nodes=True,
        needs_package="vllm",
        install_hint="'make vllm', or \"pip install 'evolgrid[vllm]'\"",
    ),
    "classifier": EngineInfo("actors.engines.classifier_engine:ClassifierEngine", 64, generates=False, classifies=True),
    "http": EngineInfo(
        "actors.engines.http_engine:HttpEngine",
        128,
        memory_model="remote",
        required_option=RequiredOption(
            "url",
            "an http model needs the address of its endpoint",
            "Add for example 'runtime: {url: \"http://localhost:8000/v1\"}' (in 'runtime' it stays out of the keys).",
        ),
    ),
    "scripted": EngineInfo("actors.engines.scripted_engine:ScriptedEngine", 256, memory_model="none", classifies=True),
}


def engine_names() -> list[str]:
    """Return what a study may write as a model's engine."""
    return [AUTO_ENGINE, *ENGINES]


def resolve(engine: str, gpus: float) -> str:
    """The engine that `auto` stands for: vLLM for a model with GPUs, else transformers. Other names stay."""
    return ("vllm" if gpus > 0 else "transformers") if engine == AUTO_ENGINE else engine


def engine_info(engine: str, gpus: float = 0) -> EngineInfo:
    """Return the record of an engine, or of the one that `auto` stands for.

    Raises:
        ValueError: There is no such engine.
    """
    try:
        return ENGINES[resolve(engine, gpus)]
    except KeyError:
        raise ValueError(f"unknown engine {engine!r}: one of {', '.join(ENGINES)}") from None


def create(spec: EngineSpec) -> Engine:
    """Load the model with the engine that the spec names.

    ValueError for an unknown engine or option, FileNotFoundError for a missing folder; whatever the engine raises if
    the model can not be loaded.
    """
    info = engine_info(spec.engine)
    if info.has_weights:
        check_folder(spec.model)  # before torch is imported: the commonest mistake is told at once
    module, _, name = info.loader.partition(":")
    return getattr(import_module(module), name)(spec)
