"""Which models of a study take how much memory, what no node could hold, and the smallest change that would do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from actors.engines import resolve
from cluster.architecture import Architecture, architecture
from cluster.errors import ClusterError
from cluster.footprint import Footprint, Serving, Training, gpu_bytes, holds, serving, split, training
from cluster.inventory import GIB, Inventory
from pipelines.study.roles import roles
from pipelines.study.sources import NAMED, resolve_model_path
from pipelines.study.spec import Model, Recipe, Study

STEP_OF_LENGTH = 256  # tokens
Change = tuple[str, float, Footprint]
"""What to write into the study, and the GPUs and memory that are needed then."""


@dataclass(frozen=True, slots=True)
class Need:
    """What a model takes in one of its roles ("serves" or "is trained"), and changes by which it takes less."""

    name: str
    role: str
    gpus: float
    footprint: Footprint
    changes: Callable[[Inventory], Iterator[Change]]


def needs(study: Study, folder: Path) -> list[Need]:
    """What every model of a study takes of which a config.json is at hand; others are left to their engines."""
    found: list[Need] = []
    asked = {role.model for role in roles(study)} & study.models.keys()
    for name, model in study.models.items():
        known = known_architecture(model, folder)
        if known is None:
            continue
        found += [_serves(name, model, known[0], known[1])] if name in asked else []
        for recipe in dict.fromkeys(each.recipe for each in study.students if each.model == name):
            found.append(_trains(name, model, recipe, study.recipes[recipe], known[0], known[1]))
    return found


def misfits(study: Study, folder: Path, cluster: Inventory) -> list[str]:
    """A message for each model that no node of the cluster could hold, with the smallest change by which one could."""
    return [_told(need, cluster) for need in needs(study, folder) if not _fits(need.footprint, need.gpus, cluster)]


def check_footprints(study: Study, folder: Path, cluster: Inventory) -> None:
    """Raise ClusterError if a model can never fit into the memory of any node."""
    if told := misfits(study, folder, cluster):
        raise ClusterError("\n".join(told))


def known_architecture(model: Model, folder: Path) -> tuple[Architecture, int] | None:
    """Sizes of a model and the bytes of one of its saved numbers, by its config.json; None where there is none."""
    if model.engine in NAMED:
        return None
    config = _config(resolve_model_path(model, folder), model.revision)
    if config is None:
        return None
    return architecture(config), 4 if (config.get("dtype") or config.get("torch_dtype")) == "float32" else 2


@lru_cache(maxsize=64)
def _config(source: str, revision: str | None) -> Mapping[str, Any] | None:
    """The config.json of a local folder, or of a hub model if it was fetched before or can be now."""
    path = Path(source) / "config.json"
    if not Path(source).is_dir():
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

        try:
            path = Path(hf_hub_download(source, "config.json", revision=revision, etag_timeout=5))
        except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError):
            return None
    return json.loads(path.read_text()) if path.is_file() else None


def _serves(name: str, model: Model, sizes: Architecture, saved: int) -> Need:
    options, gpu = model.options | model.runtime, model.gpus > 0
    vllm = resolve(model.engine, model.gpus) == "vllm"
    pipeline = int(options.get("pipeline_parallel_size", 1))
    tensor = int(options.get("tensor_parallel_size", max(1, model.gpus // pipeline) if vllm else 1))
    how = Serving(_bytes(model, saved), tensor, pipeline, model.max_length)

    def changes(cluster: Inventory) -> Iterator[Change]:
        for gpus in (n for n in (1, 2, 4, 8, 16) if gpu and vllm and n > model.gpus and sizes.heads % n == 0):
            yield f"set 'gpus: {gpus}' under models.{name}", gpus, serving(sizes, split(how, gpus))
        for length in range(model.max_length - STEP_OF_LENGTH, 0, -STEP_OF_LENGTH):
            less = serving(sizes, replace(how, length=length), gpu)
            yield f"set 'max_length: {length}' under models.{name}", model.gpus, less
        if how.number_bytes == 4:
            yield f"set 'dtype: bfloat16' under models.{name}", model.gpus, serving(sizes, replace(how, number_bytes=2))
        for gpus in sorted({int(node.gpus) for node in cluster.nodes if node.gpus} if not gpu else ()):
            yield f"set 'gpus: {gpus}' under models.{name}", gpus, serving(sizes, split(how, gpus))

    return Need(name, "to serve", model.gpus, serving(sizes, how, gpu), changes)


def _trains(name: str, model: Model, named: str, recipe: Recipe, sizes: Architecture, saved: int) -> Need:
    rank = recipe.lora_rank if recipe.tuning == "lora" else None
    how = Training(_bytes(model, saved), rank, recipe.micro_batch_size, recipe.max_length)
    gpu = model.gpus > 0

    def changes(cluster: Inventory) -> Iterator[Change]:
        for rows in (n for n in range(recipe.micro_batch_size - 1, 0, -1) if recipe.batch_size % n == 0):
            less = training(sizes, replace(how, rows=rows), gpu)
            yield f"set 'micro_batch_size: {rows}' under recipes.{named}", model.gpus, less
        lora = replace(how, lora_rank=recipe.lora_rank)
        if rank is None:
            yield f"set 'tuning: lora' under recipes.{named}", model.gpus, training(sizes, lora, gpu)
        smallest = replace(lora, rows=1, number_bytes=2)
        told = f"set 'tuning: lora' and 'micro_batch_size: 1' under recipes.{named}"
        yield told, model.gpus, training(sizes, smallest, gpu)
        if not gpu:
            yield f"set 'gpus: 1' under models.{name}", 1, training(sizes, how)

    return Need(name, f"to be trained by '{named}'", model.gpus, training(sizes, how, gpu), changes)


def _bytes(model: Model, saved: int) -> int:
    return {"auto": saved, "float32": 4, "bfloat16": 2}[model.dtype]


def _fits(need: Footprint, gpus: float, cluster: Inventory) -> bool:
    nodes = cluster.nodes
    if gpus > max((node.gpus for node in nodes), default=0):  # spread over several nodes
        nodes = tuple(replace(node, gpus=cluster.gpus) for node in nodes if node.gpus)
    return any(holds(node, need, gpus) for node in nodes)


def _told(need: Need, cluster: Inventory) -> str:
    where = "of memory" if not need.gpus else "on its GPU" if need.gpus <= 1 else f"on each of {need.gpus:g} GPUs"
    size = f"{_gib(need.footprint.total)} {where}"
    fitting = (told for told, gpus, less in need.changes(cluster) if _fits(less, gpus, cluster))
    remedy = next(fitting, None) or f"add a machine with {size} to the cluster"
    told = f"{need.name} takes about {size} {need.role}; {_most(need, cluster)}"
    return f"{told}. The smallest change that makes it fit: {remedy}"


def _most(need: Need, cluster: Inventory) -> str:
    if need.gpus:
        rooms = [room for node in cluster.nodes if node.gpus and (room := gpu_bytes(node))]
        return f"the largest GPU has {_gib(max(rooms))} to use" if rooms else "there is no such GPU"
    return f"the largest node has {_gib(max((node.memory_bytes for node in cluster.nodes), default=0))}"


def _gib(count: int) -> str:
    return f"{count / GIB:,.1f} GiB"
