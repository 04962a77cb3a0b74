"""The table of engines, as plain data, and how the engine of a spec is loaded. Everything else reads this table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from actors.engine import Engine, EngineSpec, OptionValue
from actors.inference.model_loading import check_folder
from actors.model_folder.files import check_files

MemoryModel = Literal["one_device", "tensor_parallel", "remote", "none"]
"""Where a model's weights are: on one device; sharded over a replica's GPUs; on a remote server; nowhere."""
AUTO_ENGINE = "auto"


@dataclass(frozen=True, slots=True)
class RequiredOption:
    """An option that an engine requires, with the error message and remedy for a study that does not set it."""

    name: str
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """One engine. This module imports neither engines nor torch nor Ray.

    A field whose type allows a text may name its value as "module:name", which is imported when it is needed.

    `loader` takes an EngineSpec and returns the Engine with its model loaded.
    `default_max_ongoing_requests` is the default limit of requests in flight at one replica. It is larger than the
    engine's batch, so that requests and answers are sent in bulk. `spans_nodes`: one replica's GPUs may be on several
    nodes. `generates`: the engine generates and scores text. `classifies`: it returns a classifier's logits.
    `batch_max_ongoing_requests` is that limit for a model with the option `batch`.
    `options` is the table of the engine's options with their defaults; a module that is named there does not import
    torch. Without it, options are checked when a model is loaded. `identity_options` are those that change results.
    `check` raises ValueError for options that cannot work on this machine, without asking the model's server, and
    `probe` asks it once, without loading anything. `needs_package` is a package that evolgrid does not
    install by default, and `install_hint` how to install it.
    """

    loader: str | Callable[[EngineSpec], Engine]
    default_max_ongoing_requests: int
    memory_model: MemoryModel = "one_device"
    spans_nodes: bool = False
    generates: bool = True
    classifies: bool = False
    needs_package: str | None = None
    install_hint: str = ""
    required_option: RequiredOption | None = None
    options: str | Mapping[str, OptionValue] = ""
    identity_options: str | Iterable[str] = ""
    check: str | Callable[[EngineSpec], None] = ""
    probe: str | Callable[[EngineSpec], str] = ""
    batch_max_ongoing_requests: int = 0

    def max_ongoing_requests(self, spec: EngineSpec) -> int:
        """Return the default limit of requests in flight at one replica of a model."""
        batched = bool(dict(spec.options).get("batch"))
        return self.batch_max_ongoing_requests if batched else self.default_max_ongoing_requests

    @property
    def has_weights(self) -> bool:
        """Whether a model's source is a checkpoint (a folder or a hub name). If not, it is only a name."""
        return self.memory_model in ("one_device", "tensor_parallel")


ENGINES: dict[str, EngineInfo] = {
    "transformers": EngineInfo(
        "actors.engines.transformers_engine:TransformersEngine",
        64,
        options="actors.engines.options:TRANSFORMERS_OPTIONS",
    ),
    "vllm": EngineInfo(
        "actors.engines.vllm_engine:VllmEngine",
        512,
        memory_model="tensor_parallel",
        spans_nodes=True,
        options="actors.engines.vllm_arguments:OPTIONS",
        identity_options="actors.engines.vllm_arguments:IDENTITY_OPTIONS",
        needs_package="vllm",
        install_hint="'make vllm', or \"pip install 'evolgrid[vllm]'\"",
    ),
    "classifier": EngineInfo(
        "actors.engines.classifier_engine:ClassifierEngine",
        64,
        generates=False,
        classifies=True,
        options="actors.engines.options:CLASSIFIER_OPTIONS",
    ),
    "http": EngineInfo(
        "actors.engines.http_engine:HttpEngine",
        128,
        memory_model="remote",
        options="actors.engines.http.options:OPTIONS",
        identity_options="actors.engines.http.options:PARAMETER_OPTIONS",
        batch_max_ongoing_requests=50_000,
        check="actors.engines.http_engine:check_spec",
        probe="actors.engines.http_engine:probe_model",
        required_option=RequiredOption(
            "url",
            "an http model needs the address of its endpoint",
            "Add for example 'runtime: {url: \"http://localhost:8000/v1\"}' (in 'runtime' it stays out of the keys).",
        ),
    ),
    "scripted": EngineInfo(
        "actors.engines.scripted_engine:ScriptedEngine",
        256,
        memory_model="none",
        classifies=True,
        options="actors.engines.scripted_engine:OPTIONS",
    ),
}


def engine_names() -> list[str]:
    """Return the valid values of a model's `engine` in a study."""
    return [AUTO_ENGINE, *ENGINES]


def resolve(engine: str, gpus: float) -> str:
    """Resolve `auto` to vllm for a model with GPUs, else to transformers. Return other names unchanged."""
    return ("vllm" if gpus > 0 else "transformers") if engine == AUTO_ENGINE else engine


def engine_info(engine: str, gpus: float = 0) -> EngineInfo:
    """Return the record of an engine. `auto` is resolved first.

    Raises:
        ValueError: There is no such engine.
    """
    try:
        return ENGINES[resolve(engine, gpus)]
    except KeyError:
        raise ValueError(f"unknown engine {engine!r}: one of {', '.join(ENGINES)}") from None


def spec_info(spec: EngineSpec) -> EngineInfo:
    """Return the record of a spec's engine, after the code that adds it is loaded."""
    if spec.code:
        spec.code.load()
    return engine_info(spec.engine)


def option_defaults(engine: str) -> Mapping[str, OptionValue] | None:
    """Return an engine's options with their defaults; None if only the engine itself knows them."""
    table = engine_info(engine).options
    return _imported(table) if table else None


def identity_options(engine: str) -> frozenset[str]:
    """Return the names of an engine's options that change results, as far as its record says."""
    table = engine_info(engine).identity_options
    return frozenset(_imported(table)) if table else frozenset()


def check_server(spec: EngineSpec) -> None:
    """Check the address and the secrets of a model's server on this machine, without asking it.

    Raises:
        ValueError: The address is malformed, or a key or a file is missing or malformed.
    """
    if reference := engine_info(spec.engine).check:
        _imported(reference)(spec)


def probe_server(spec: EngineSpec) -> str | None:
    """Ask the server of a model once and return what was found; None for an engine without a server.

    Raises:
        ConnectionError: The server does not answer.
        ValueError: It rejects the key or the request, or lacks what `spec.needs` says.
    """
    loader = engine_info(spec.engine).probe
    return _imported(loader)(spec) if loader else None


def create(spec: EngineSpec) -> Engine:
    """Load the model with the engine that the spec names.

    Raises:
        ValueError: The engine or an option is unknown.
        FileNotFoundError: The model's folder is missing.
        LoadError: Files of the folder are missing, truncated or Git LFS pointers.
        Exception: Any other error that the engine raises while it loads the model.
    """
    info = spec_info(spec)
    if info.has_weights:
        check_folder(spec.model)  # before torch is imported: report the most frequent mistakes at once
        check_files(spec.model)
    return _imported(info.loader)(spec)


def _imported(reference: Any) -> Any:
    """Return the value that a text "module:name" refers to, and any other value as is."""
    if not isinstance(reference, str):
        return reference
    module, _, name = reference.partition(":")
    return getattr(import_module(module), name)
