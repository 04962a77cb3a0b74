"""Which models of a study take how much memory, what no node could hold, and the smallest change that would do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from actors.engines.registry import resolve
from cluster.errors import ClusterError
from cluster.resources.inventory import GIB, Inventory
from cluster.resources.memory_footprint import Footprint, Serving, Training, gpu_bytes, holds, serving, split, training
from cluster.resources.model_architecture import Architecture
from cluster.resources.packing import largest
from cluster.resources.placement import Request, fit_together
from pipelines.planning.model_size import known_architecture
from pipelines.study.roles import roles
from pipelines.study.spec.model import Model
from pipelines.study.spec.recipes import Recipe, Student
from pipelines.study.spec.study import Study

STEP_OF_LENGTH = 256  # tokens
NUMBER_BYTES = {"float32": 4, "bfloat16": 2}
SHARDED = ("fsdp", "zero3")  # gradients and optimizer alone (zero2) leave the weights whole
Change = tuple[str, float, Footprint]
"""What to write into the study, and the GPUs and memory that are needed then."""


@dataclass(frozen=True, slots=True)
class Need:
    """What a model takes in one of its roles ("serves" or "is trained"), on which kind of GPU (any if empty), and
    changes by which it takes less."""

    name: str
    role: str
    gpus: float
    kind: str
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
        found += [_serves(name, model, *known)] if name in asked else []
        for student in (each for each in study.students if each.model == name):
            found.append(_trains(model, student, study.recipes[student.recipe], *known))
    return found


def misfits(study: Study, folder: Path, cluster: Inventory) -> list[str]:
    """A message for each model that could be placed where it finds too little memory, with the smallest change."""
    found = needs(study, folder)
    return [_told(need, cluster) for need in found if not _fits(need.footprint, need.gpus, cluster, need.kind)]


def check_footprints(study: Study, folder: Path, cluster: Inventory) -> None:
    """Raise ClusterError if a model can never fit into the memory of any node."""
    if told := misfits(study, folder, cluster):
        raise ClusterError("\n".join(told))


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

    return Need(name, "to serve", model.gpus, model.accelerator, serving(sizes, how, gpu), changes)


def _trains(model: Model, student: Student, recipe: Recipe, sizes: Architecture, saved: int) -> Need:
    place, batch, named = student.place, recipe.batch_size, student.recipe
    gpus = model.gpus if place.gpus is None else place.gpus
    how = Training(
        number_bytes=_bytes(model, saved) if recipe.precision == "auto" else NUMBER_BYTES[recipe.precision],
        lora_rank=recipe.lora_rank if recipe.tuning == "lora" else None,
        rows=recipe.micro_batch_size,
        length=recipe.max_length,
        shards=place.workers if place.sharding in SHARDED else 1,
        recomputed=place.gradient_checkpointing,
    )

    def fewer(more: Training) -> Iterator[tuple[str, Training]]:
        yield "", more
        for rows in (n for n in range(recipe.micro_batch_size - 1, 0, -1) if batch % n == 0):
            yield f" and 'micro_batch_size: {rows}' under recipes.{named}", replace(more, rows=rows)

    def changes(cluster: Inventory) -> Iterator[Change]:
        it = f"for the student {student.model}"
        tried = [("", how), (f"'gradient_checkpointing: true' {it}", replace(how, recomputed=True))]
        more_workers = (n for n in (2, 4, 8, 16) if gpus and n > how.shards and batch % n == 0)
        for workers in (n for n in more_workers if fit_together([Request(student.model, 0, gpus, n)], cluster)):
            less = replace(how, recomputed=True, shards=workers)
            tried.append((f"'workers: {workers}', 'sharding: fsdp', 'gradient_checkpointing: true' {it}", less))
        if how.lora_rank is None:
            tried.append((f"'tuning: lora' under recipes.{named}", replace(how, lora_rank=recipe.lora_rank)))
        for told, changed in tried:
            for more, less in fewer(changed):
                yield f"set {told}{more}".replace("set  and", "set"), gpus, training(sizes, less, gpus > 0)
        if not gpus:
            yield f"set 'gpus: 1' under models.{student.model}", 1, training(sizes, how)

    role, kind = f"to be trained by '{named}'", model.accelerator if gpus else ""
    return Need(student.model, role, gpus, kind, training(sizes, how, gpus > 0), changes)


def _bytes(model: Model, saved: int) -> int:
    return NUMBER_BYTES.get(model.dtype, saved)


def _fits(need: Footprint, gpus: float, cluster: Inventory, kind: str) -> bool:
    """Whether it has memory wherever Ray may place it: Ray asks for GPUs, of a kind or of any, not for their memory."""
    nodes = [node for node in cluster.nodes if kind in ("", node.accelerator)]
    if not gpus:
        return any(holds(node, need, gpus) for node in nodes)
    if gpus > largest(nodes):  # spread over several nodes
        nodes = [replace(node, gpus=cluster.gpus) for node in nodes if node.gpus]
    found = [holds(node, need, gpus) for node in nodes if node.gpus >= gpus]
    return bool(found) and all(found)


def _kinds(need: Need, cluster: Inventory) -> Iterator[Change]:
    """The kinds of GPU that hold it as it is, the smallest first."""
    rooms = {node.accelerator: gpu_bytes(node) or 0 for node in cluster.nodes if node.accelerator and need.gpus}
    for kind in sorted(rooms, key=lambda kind: (rooms[kind], kind)):
        if _fits(need.footprint, need.gpus, cluster, kind):
            yield f"set 'accelerator: {kind}' under models.{need.name}", need.gpus, need.footprint


def _told(need: Need, cluster: Inventory) -> str:
    where = "of memory" if not need.gpus else "on its GPU" if need.gpus <= 1 else f"on each of {need.gpus:g} GPUs"
    size = f"{_gib(need.footprint.total)} {where}"
    fitting = (told for told, gpus, less in need.changes(cluster) if _fits(less, gpus, cluster, need.kind))
    kinds = (told for told, _, _ in _kinds(need, cluster))
    remedy = next(kinds, None) or next(fitting, None) or f"add a machine with {size} to the cluster"
    told = f"{need.name} takes about {size} {need.role}; {_most(need, cluster)}"
    return f"{told}. The smallest change that makes it fit: {remedy}"


def _most(need: Need, cluster: Inventory) -> str:
    if not need.gpus:
        return f"the largest node has {_gib(max((node.memory_bytes for node in cluster.nodes), default=0))}"
    able = [node for node in cluster.nodes if node.gpus and need.kind in ("", node.accelerator)]
    rooms = {room: node.accelerator for node in able if (room := gpu_bytes(node))}
    if not rooms:
        return "there is no such GPU"
    if need.footprint.total <= max(rooms):
        return f"it may be placed on {rooms[min(rooms)]}, with {_gib(min(rooms))} to use"
    return f"the largest GPU has {_gib(max(rooms))} to use"


def _gib(count: int) -> str:
    return f"{count / GIB:,.1f} GiB"
