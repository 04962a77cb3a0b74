"""Memory needs of a study's models: which models fit on no node, and the smallest change that makes each fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from actors.engines.registry import engine_info
from actors.training.spec import OptimizerName
from cluster.errors import ClusterError
from cluster.resources.inventory import GIB, Inventory
from cluster.resources.memory_footprint import (
    Footprint,
    ServingConfig,
    TrainingConfig,
    fits,
    gpu_bytes,
    serving_memory,
    training_memory,
    with_tensor_parallelism,
)
from cluster.resources.model_architecture import Architecture
from cluster.resources.packing import max_gpus_per_node
from cluster.resources.placement import ResourceRequest, fit_together
from pipelines.planning.model_size import known_architecture, known_weight_bytes
from pipelines.study.inputs.models import shared_base_spec
from pipelines.study.roles import roles
from pipelines.study.spec.common.model import Model
from pipelines.study.spec.study import Study
from pipelines.study.spec.training.recipes import Recipe, Student

LENGTH_STEP = 256  # tokens
BYTES_PER_DTYPE = {"float32": 4, "bfloat16": 2}
MOMENTS: dict[OptimizerName, int] = {"adamw": 2, "adafactor": 0}  # that have the weights' size
WEIGHT_SHARDING_MODES = ("fsdp", "zero3")  # zero2 shards only gradients and optimizer, not the weights
Change = tuple[str, float, Footprint]
"""A change to the study, and the GPUs and memory that are needed after it."""


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """The memory that a model needs in one `role` ("to serve" or "to be trained by ..."), and changes that reduce it.

    `accelerator_type` is the type of its GPUs; empty means any.
    """

    name: str
    role: str
    gpus: float
    accelerator_type: str
    footprint: Footprint
    changes: Callable[[Inventory], Iterator[Change]]


def memory_needs(study: Study, folder: Path) -> list[MemoryNeed]:
    """Return the memory needs of all models of a study whose config.json is available."""
    found: list[MemoryNeed] = []
    served = {role.model for role in roles(study)} & study.models.keys()
    for name, model in study.models.items():
        known = known_architecture(model, folder)
        if known is None:
            continue
        if name in served:
            ranks = _adapter_ranks(study, name, folder)
            found.append(_serving_need(name, model, *known, known_weight_bytes(model, folder), ranks))
        for student in (each for each in study.students if each.model == name):
            found.append(_training_need(model, student, study.recipes[student.recipe], *known))
    return found


def oversized(study: Study, folder: Path, cluster: Inventory) -> list[str]:
    """Return a message for each model that may be placed on a node without enough memory, with the smallest change."""
    found = memory_needs(study, folder)
    return [
        _describe(need, cluster)
        for need in found
        if not _fits(need.footprint, need.gpus, cluster, need.accelerator_type)
    ]


def check_memory(study: Study, folder: Path, cluster: Inventory) -> None:
    """Check the memory of a study's models.

    Raises:
        ClusterError: A model may be placed on a node without enough memory.
    """
    if problems := oversized(study, folder, cluster):
        raise ClusterError("\n".join(problems))


def _serving_need(
    name: str, model: Model, sizes: Architecture, saved: int, bytes_per_weight: float | None, adapter_ranks: int
) -> MemoryNeed:
    options: dict[str, Any] = model.options | model.runtime
    gpu = model.gpus > 0
    sharded = engine_info(model.engine, model.gpus).memory_model == "tensor_parallel"
    pipeline = int(options.get("pipeline_parallel_size", 1))
    tensor = int(options.get("tensor_parallel_size", max(1, model.gpus // pipeline) if sharded else 1))
    config = ServingConfig(
        _bytes_per_parameter(model, saved),
        tensor,
        pipeline,
        model.max_length,
        bytes_per_weight=bytes_per_weight,
        adapter_ranks=adapter_ranks,
    )

    def changes(cluster: Inventory) -> Iterator[Change]:
        if adapter_ranks:
            alone = serving_memory(sizes, replace(config, adapter_ranks=0), gpu)
            yield f"set 'lora: false' under models.{name}.runtime", model.gpus, alone
        for gpus in (n for n in (1, 2, 4, 8, 16) if gpu and sharded and n > model.gpus and sizes.heads % n == 0):
            yield (
                f"set 'gpus: {gpus}' under models.{name}",
                gpus,
                serving_memory(sizes, with_tensor_parallelism(config, gpus)),
            )
        for length in range(model.max_length - LENGTH_STEP, 0, -LENGTH_STEP):
            less = serving_memory(sizes, replace(config, length=length), gpu)
            yield f"set 'max_length: {length}' under models.{name}", model.gpus, less
        if config.bytes_per_parameter == 4:
            yield (
                f"set 'dtype: bfloat16' under models.{name}",
                model.gpus,
                serving_memory(sizes, replace(config, bytes_per_parameter=2)),
            )
        for gpus in sorted({int(node.gpus) for node in cluster.nodes if node.gpus} if not gpu else ()):
            yield (
                f"set 'gpus: {gpus}' under models.{name}",
                gpus,
                serving_memory(sizes, with_tensor_parallelism(config, gpus)),
            )

    return MemoryNeed(name, "to serve", model.gpus, model.accelerator, serving_memory(sizes, config, gpu), changes)


def _training_need(model: Model, student: Student, recipe: Recipe, sizes: Architecture, saved: int) -> MemoryNeed:
    resources, batch, named = student.resources, recipe.batch_size, student.recipe
    gpus = resources.worker_gpus(model.gpus)
    config = TrainingConfig(
        bytes_per_parameter=_bytes_per_parameter(model, saved)
        if recipe.precision == "auto"
        else BYTES_PER_DTYPE[recipe.precision],
        lora_rank=recipe.lora_rank if recipe.tuning == "lora" else None,
        rows=recipe.micro_batch_size,
        length=recipe.max_length,
        workers=resources.workers,
        sharded=resources.sharding in WEIGHT_SHARDING_MODES,
        recomputed=resources.gradient_checkpointing,
        moments=MOMENTS[recipe.optimizer],
    )

    def fewer(more: TrainingConfig) -> Iterator[tuple[str, TrainingConfig]]:
        yield "", more
        for rows in (n for n in range(recipe.micro_batch_size - 1, 0, -1) if batch % n == 0):
            yield f" and 'micro_batch_size: {rows}' under recipes.{named}", replace(more, rows=rows)

    def changes(cluster: Inventory) -> Iterator[Change]:
        it = f"for the student {student.model}"
        candidates = [("", config), (f"'gradient_checkpointing: true' {it}", replace(config, recomputed=True))]
        shardable = gpus and recipe.optimizer != "adafactor"
        more_workers = (n for n in (2, 4, 8, 16) if shardable and n > config.shards and batch % n == 0)
        for workers in (n for n in more_workers if fit_together([ResourceRequest(student.model, 0, gpus, n)], cluster)):
            less = replace(config, recomputed=True, workers=workers, sharded=True)
            candidates.append((f"'workers: {workers}', 'sharding: fsdp', 'gradient_checkpointing: true' {it}", less))
        if config.lora_rank is None:
            candidates.append((f"'tuning: lora' under recipes.{named}", replace(config, lora_rank=recipe.lora_rank)))
        for change, changed in candidates:
            for more, less in fewer(changed):
                yield f"set {change}{more}".replace("set  and", "set"), gpus, training_memory(sizes, less, gpus > 0)
        if not gpus:
            yield f"set 'gpus: 1' under models.{student.model}", 1, training_memory(sizes, config)

    role, kind = f"to be trained by '{named}'", model.accelerator if gpus else ""
    return MemoryNeed(student.model, role, gpus, kind, training_memory(sizes, config, gpus > 0), changes)


def _adapter_ranks(study: Study, name: str, folder: Path) -> int:
    """Return the sum of the ranks of the students' adapters that a model's engine has beside its weights."""
    spec = shared_base_spec(study, name, folder)
    if spec is None:
        return 0
    options: dict[str, Any] = dict(spec.options)
    recipes = (study.recipes.get(student.recipe) for student in study.students if student.model == name)
    rank = max(recipe.lora_rank for recipe in recipes if recipe and recipe.tuning == "lora")
    in_batch = 2 if "max_lora_rank" not in options else 1  # the transformers engine copies the adapters of a batch
    return in_batch * int(options["max_loras"]) * max(rank, int(options.get("max_lora_rank", 0)))


def _bytes_per_parameter(model: Model, saved: int) -> int:
    return BYTES_PER_DTYPE.get(model.dtype, saved)


def _fits(need: Footprint, gpus: float, cluster: Inventory, accelerator_type: str) -> bool:
    """Return whether `need` fits on every node that Ray may choose. Ray ignores the GPUs' memory."""
    nodes = [node for node in cluster.nodes if accelerator_type in ("", node.accelerator)]
    if not gpus:
        return any(fits(node, need, gpus) for node in nodes)
    if gpus > max_gpus_per_node(nodes):  # a replica is spread over several nodes
        nodes = [replace(node, gpus=cluster.gpus) for node in nodes if node.gpus]
    found = [fits(node, need, gpus) for node in nodes if node.gpus >= gpus]
    return bool(found) and all(found)


def _fitting_accelerators(need: MemoryNeed, cluster: Inventory) -> Iterator[Change]:
    """Yield the types of GPU on which the model fits unchanged, the smallest first."""
    memory_by_type = {
        node.accelerator: gpu_bytes(node) or 0 for node in cluster.nodes if node.accelerator and need.gpus
    }
    for kind in sorted(memory_by_type, key=lambda kind: (memory_by_type[kind], kind)):
        if _fits(need.footprint, need.gpus, cluster, kind):
            yield f"set 'accelerator: {kind}' under models.{need.name}", need.gpus, need.footprint


def _describe(need: MemoryNeed, cluster: Inventory) -> str:
    where = "of memory" if not need.gpus else "on its GPU" if need.gpus <= 1 else f"on each of {need.gpus:g} GPUs"
    size = f"{_gib(need.footprint.total)} {where}"
    fitting = (told for told, gpus, less in need.changes(cluster) if _fits(less, gpus, cluster, need.accelerator_type))
    kinds = (told for told, _, _ in _fitting_accelerators(need, cluster))
    remedy = next(kinds, None) or next(fitting, None) or f"add a machine with {size} to the cluster"
    told = f"{need.name} needs about {size} {need.role}; {_describe_largest(need, cluster)}"
    return f"{told}. The smallest change that makes it fit: {remedy}"


def _describe_largest(need: MemoryNeed, cluster: Inventory) -> str:
    if not need.gpus:
        return f"the largest node has {_gib(max((node.memory_bytes for node in cluster.nodes), default=0))}"
    candidates = [node for node in cluster.nodes if node.gpus and need.accelerator_type in ("", node.accelerator)]
    type_by_memory = {room: node.accelerator for node in candidates if (room := gpu_bytes(node))}
    if not type_by_memory:
        return "the cluster has no such GPU"
    if need.footprint.total <= max(type_by_memory):
        return f"it may be placed on {type_by_memory[min(type_by_memory)]}, with {_gib(min(type_by_memory))} usable"
    return f"the largest GPU has {_gib(max(type_by_memory))} usable"


def _gib(count: int) -> str:
    return f"{count / GIB:,.1f} GiB"
