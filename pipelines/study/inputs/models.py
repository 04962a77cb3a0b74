"""Resolves and checks the source of a model: bundled, in a local folder, or on the hub at a pinned commit."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import bundled
from actors.engine import EngineSpec, OptionValue, StudentTemplate
from actors.engines.options import option_error
from actors.engines.registry import EngineInfo, engine_info, identity_options, option_defaults, resolve
from actors.engines.vllm_arguments import SPECULATIVE, lora_dtype_error, speculative_error
from actors.model_folder.config import ARCHITECTURE_REMEDY, decoder_problem, unknown_architecture
from actors.model_folder.files import folder_fault, read_config
from actors.model_folder.quantisation import method, missing_package
from cluster.resources.memory_footprint import USABLE_FRACTION
from pipelines.errors import nearest
from pipelines.study.inputs.problem import Problem
from pipelines.study.plugins.active import origin
from pipelines.study.plugins.shipping import ShippedCode
from pipelines.study.spec.common.model import Model
from pipelines.study.spec.study import Study

MAX_TOGETHER = 8  # students that are evaluated at once on the engine of their base
MAX_VLLM_RANK = 256  # which all versions of vLLM take


def engine_spec(model: Model, folder: Path, path: str | None = None) -> EngineSpec:
    """Return how to start a model. `folder` is the study file's folder.

    `path`, the folder of a trained checkpoint, replaces the model's source. Its chat template has all arguments.
    """
    engine = resolve(model.engine, model.gpus)
    options = drafted_options(model, folder, str) | model.runtime
    sharded = engine_info(engine).memory_model == "tensor_parallel"
    if sharded and model.gpus > 1 and "pipeline_parallel_size" not in options:
        options = {"tensor_parallel_size": int(model.gpus)} | options
    if sharded and 0 < model.gpus < 1:  # otherwise the engine takes as much of a shared GPU as of a whole one
        options = {"gpu_memory_utilization": round(USABLE_FRACTION * model.gpus, 3)} | options
    return EngineSpec(
        engine=engine,
        model=path or resolve_model_path(model, folder),
        revision=None if path else model.revision,
        dtype=model.dtype,
        max_length=model.max_length,
        options=tuple(sorted(options.items())),
        chat_template=None if path else read_template(model, folder),
        template_args=() if path else tuple(sorted(model.template.items())),
        code=ShippedCode(plugin) if (plugin := origin("engine", engine)) else None,
    )


def evaluated_spec(
    study: Study, model: str, folder: Path, path: str | None = None, template: str | None = None
) -> EngineSpec:
    """Return how to start a model that answers benchmarks: the student in the folder `path`, or the untuned model.

    `template` is the Jinja text of its students' chat template; None: its own.
    """
    spec = engine_spec(study.models[model], folder, path)
    if path:
        return spec
    return replace(
        spec,
        student_template=untuned_template(study, model),
        chat_template=spec.chat_template if template is None else template,
    )


def shared_base_spec(study: Study, model: str, folder: Path, template: str | None = None) -> EngineSpec | None:
    """Return how to start a model whose LoRA students answer benchmarks beside it, as adapters on one engine.

    `template` is that of `evaluated_spec`, for the untuned model: every student has its own.

    None if it has no such students, if its engine does not apply adapters, or if the study says `lora: false`. Options
    that change results (quantised weights, speculative decoding) would do so otherwise with adapters than with merged
    weights, so models with such options do not share their engine either.
    """
    recipes = [study.recipes.get(student.recipe) for student in study.students if student.model == model]
    ranks = [recipe.lora_rank for recipe in recipes if recipe and recipe.tuning == "lora"]
    spec = evaluated_spec(study, model, folder, template=template)
    given, known = dict(spec.options), option_defaults(spec.engine) or {}
    changing = identity_options(spec.engine) & {name for name, value in given.items() if value}
    if not ranks or "lora" not in known or given.get("lora") is False or changing:
        return None
    options = {"lora": True, "max_loras": int(str(given.get("max_loras", MAX_TOGETHER)))}
    if "max_lora_rank" in known:
        if max(ranks) > MAX_VLLM_RANK or lora_dtype_error(spec.dtype, "cuda" if study.models[model].gpus else "cpu"):
            return None
        options["max_lora_rank"] = max([int(str(given.get("max_lora_rank", 0))), *ranks])
    return replace(spec, options=tuple(sorted((given | options).items())))


def untuned_template(study: Study, model: str) -> StudentTemplate:
    """Return in which template an untuned model answers benchmarks: a student's base in that of its students."""
    closed = study.responses.thinking != "train" and any(student.model == model for student in study.students)
    return "closed" if closed else "open"


def read_template(model: Model, folder: Path) -> str | None:
    """Return the text of a model's `chat_template`, or None if it has none. `folder` is the study file's folder.

    Raises:
        OSError: The file is missing or cannot be read.
    """
    return (folder / model.chat_template).read_text(encoding="utf-8") if model.chat_template else None


HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
COMMIT = re.compile(r"[0-9a-f]{40}")
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")


def resolve_model_path(model: Model, folder: Path) -> str:
    """Return the folder of a bundled or local model, or else the unchanged source (a hub name, an endpoint's model).

    `folder` is the study file's folder.

    Raises:
        ValueError: No bundled model has this name.
    """
    if not engine_info(model.engine, model.gpus).has_weights:
        return model.source
    if model.source.startswith("bundled:"):
        return str(bundled.path(model.source.removeprefix("bundled:")))
    return str((folder / model.source).resolve()) if _is_local(model, folder) else model.source


def is_on_hub(model: Model, folder: Path) -> bool:
    """Return whether a model's source is a name on the hub. `folder` is the study file's folder."""
    weights = engine_info(model.engine, model.gpus).has_weights
    return weights and not model.source.startswith("bundled:") and not _is_local(model, folder)


def local_config(model: Model, folder: Path) -> Mapping[str, Any]:
    """Return the config.json of a bundled or local model; empty for others, and without a usable one.

    `folder` is the study file's folder.
    """
    try:
        return read_config(Path(resolve_model_path(model, folder))) or {}
    except ValueError:  # no bundled model has this name
        return {}


def check_installed(model: Model) -> Problem | None:
    """Return the problem if this environment lacks a package that the model's engine needs, or None."""
    info = engine_info(model.engine, model.gpus)
    if info.needs_package is not None and find_spec(info.needs_package) is None:
        remedy = f"Install it with {info.install_hint}, or choose another engine."
        return Problem(("engine",), f"the package '{info.needs_package}' is not installed", remedy)
    return None


def check_options(model: Model) -> Iterator[Problem]:
    """Yield the options that the model's engine does not have, or that have the wrong type."""
    engine = resolve(model.engine, model.gpus)
    defaults = option_defaults(engine)
    if defaults is None:
        return
    for block, options in (("options", model.options), ("runtime", model.runtime)):
        for name, value in options.items():
            if message := option_error(engine, name, value, defaults):
                yield Problem((block, name), message, nearest(name, list(defaults)) if name not in defaults else None)


def draft_folder(model: Model, folder: Path) -> Path | None:
    """Return the folder of the draft model for speculative decoding; None if there is none or it is on the hub.

    `folder` is the study file's folder.
    """
    settings = model.options.get(SPECULATIVE)
    source = settings.get("model") if isinstance(settings, dict) and "revision" not in settings else None
    path = (folder / source).resolve() if isinstance(source, str) else None
    return path if path is not None and path.is_dir() else None


def drafted_options(model: Model, folder: Path, describe: Callable[[Path], str]) -> dict[str, OptionValue]:
    """Return a model's `options`, with what `describe` returns for its draft model's folder in the folder's place."""
    path, settings = draft_folder(model, folder), model.options.get(SPECULATIVE)
    if path is None or not isinstance(settings, dict):
        return model.options
    drafted: dict[str, OptionValue] = {SPECULATIVE: settings | {"model": describe(path)}}
    return model.options | drafted


def check_draft(model: Model, folder: Path) -> Iterator[Problem]:
    """Yield the problems of the settings of speculative decoding. `folder` is the study file's folder."""
    settings = model.options.get(SPECULATIVE)
    if resolve(model.engine, model.gpus) != "vllm" or not isinstance(settings, dict):
        return
    where = ("options", SPECULATIVE)
    if message := speculative_error(settings):
        yield Problem(where, message)
        return
    path, source = draft_folder(model, folder), str(settings.get("model", ""))
    if path is not None:
        if fault := folder_fault(path):
            yield Problem((*where, "model"), fault.message, fault.remedy)
    elif source and not (HUB_NAME.fullmatch(source) and COMMIT.fullmatch(settings.get("revision", ""))):
        remedy = "Give a folder (relative to the study file), or a hub name with the 40-digit commit as 'revision'."
        yield Problem((*where, "model"), f"'{source}' is neither a folder nor a hub model with a commit", remedy)


def check_adapters(study: Study, name: str) -> Iterator[Problem]:
    """Yield a problem if vLLM has to apply LoRA adapters to a model in a dtype in which it cannot.

    Students of such a model are no problem: they are loaded merged.
    """
    model = study.models[name]
    adapted = (model.options | model.runtime).get("lora")
    on_gpus = model.gpus and resolve(model.engine, model.gpus) == "vllm"
    if adapted and on_gpus and (message := lora_dtype_error(model.dtype, "cuda")):
        yield Problem(("dtype",), message)


def check_model(model: Model, folder: Path) -> Problem | None:
    """Return the problem of a model's source, revision or engine, or None. `folder` is the study file's folder."""
    info = engine_info(model.engine, model.gpus)
    required = info.required_option
    if required is not None and required.name not in model.options | model.runtime:
        return Problem(("engine",), required.message, required.remedy)
    if not info.has_weights:
        return None
    if model.source.startswith("bundled:"):
        return _check_bundled(model)
    if model.source.startswith("~"):
        return Problem(
            ("source",), "'~' is not expanded", "Use an absolute path, or a path relative to the study file."
        )
    return _check_folder(model, folder, info) if _is_local(model, folder) else _check_hub(model)


def _is_local(model: Model, folder: Path) -> bool:
    # a name like 'org/model' may be a folder or a hub name: with a revision it is always a hub name
    looks_local = model.source.startswith(("/", "./", "../"))
    return looks_local or (model.revision is None and (folder / model.source).is_dir())


def _check_bundled(model: Model) -> Problem | None:
    name = model.source.removeprefix("bundled:")
    if name not in bundled.names():
        return Problem(("source",), f"no bundled model is named '{name}'", nearest(name, list(bundled.names())))
    return _check_no_revision(model)


def _check_no_revision(model: Model) -> Problem | None:
    if model.revision is not None:
        return Problem(
            ("revision",), "only hub models have a revision; folders are identified by their content", "Remove it."
        )
    return None


def _check_folder(model: Model, folder: Path, info: EngineInfo) -> Problem | None:
    path = folder / model.source
    if not path.is_dir():
        return Problem(("source",), f"no such folder: {path}")
    names = {entry.name for entry in path.iterdir()}
    if "config.json" not in names:
        return Problem(("source",), f"{path} has no config.json: it is not a Hugging Face model folder")
    if not any(name.endswith(".safetensors") for name in names):
        return _no_safetensors(path, names)
    if not names.intersection(_TOKENIZERS):
        return Problem(("source",), f"{path} has no tokenizer (none of {', '.join(_TOKENIZERS)})")
    return _check_content(path, info) or _check_no_revision(model)


def _check_content(path: Path, info: EngineInfo) -> Problem | None:
    """Return the problem of a folder's files or, for this engine, of its architecture or quantisation; None if none."""
    if fault := folder_fault(path):
        return Problem(("source",), fault.message, fault.remedy)
    config = read_config(path) or {}
    if unusable := decoder_problem(config) if info.generates else "":
        return Problem(("source",), f"{path}: {unusable}", "Choose another model.")
    if unknown := unknown_architecture(config) if info.memory_model == "one_device" else "":
        return Problem(("source",), f"{path}: {unknown}", f"{ARCHITECTURE_REMEDY}.")
    package = missing_package(config) if info.memory_model == "one_device" else None
    if package is not None:
        message = f"{path} is quantised ({method(config)}), and transformers needs the package '{package}' to load it"
        return Problem(("source",), message, f"Install '{package}', or serve the model with 'engine: vllm' on GPUs.")
    return None


def _no_safetensors(path: Path, names: set[str]) -> Problem:
    if any(name.endswith((".bin", ".pt", ".pth", ".ckpt")) for name in names):
        remedy = "Convert them: load with transformers and save_pretrained(..., safe_serialization=True)."
        return Problem(
            ("source",), f"{path} has only pickled weights, which are not loaded because they can execute code", remedy
        )
    if any(name.endswith(".gguf") for name in names):
        remedy = "Use the original model's folder, or serve the GGUF file with llama.cpp and 'engine: http'."
        return Problem(("source",), f"{path} has only GGUF weights, which are not loaded", remedy)
    return Problem(("source",), f"{path} has no weights (*.safetensors)", "Download the model again.")


def _check_hub(model: Model) -> Problem | None:
    if not HUB_NAME.fullmatch(model.source):
        remedy = "Give 'bundled:NAME', a folder (relative to the study file), or a hub name like 'org/name'."
        return Problem(("source",), f"'{model.source}' is neither an existing folder nor a hub name", remedy)
    if model.revision is None:
        remedy = (
            f"Pin it with 'evolgrid lock', or add the 40-digit commit of huggingface.co/{model.source}; "
            "before a local folder, put './'."
        )
        return Problem(("source",), "a hub model needs a pinned 'revision' (commit) to be reproducible", remedy)
    if not COMMIT.fullmatch(model.revision):
        remedy = "Pin it with 'evolgrid lock', or give the 40 hexadecimal digits of the commit."
        return Problem(("revision",), f"'{model.revision}' is not a commit", remedy)
    return None
