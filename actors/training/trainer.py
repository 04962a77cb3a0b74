"""Fine-tune one student on (user turn, response) pairs: Ray Train runs the workers and restarts lost ones."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from actors.digest import digest as digest_of
from actors.training.spec import (
    STUDENT_PREFIX,
    TrainError,
    TrainingStopped,
    TrainOutcome,
    TrainPlacement,
    TrainRow,
    TrainSpec,
    accumulation_steps,
)
from cluster.errors import error_line
from cluster.filesystems import file_system, move_folder

if TYPE_CHECKING:
    import ray
    from fsspec import AbstractFileSystem
    from ray.actor import ActorHandle

    from actors.training.spec import TrainJob, TrainProgress

__all__ = [
    "OnProgress",
    "TrainError",
    "TrainOutcome",
    "TrainPlacement",
    "TrainSpec",
    "can_share_base",
    "digest",
    "train",
    "train_multi_lora",
    "train_to_staging",
]
Pairs = Sequence[TrainRow | tuple[str, str]]  # a plain pair is a user's turn and the response
OnProgress = Callable[[int, int, float], None]  # step, number of steps, loss
POLL_SECONDS = 0.2
KILL_TIMEOUT = 10.0
REMOVE_BACKOFF = (0.1, 0.3, 1.0, 3.0)  # seconds


def train(
    spec: TrainSpec,
    pairs: Pairs,
    output: Path | str,
    placement: TrainPlacement | None = None,
    on_progress: OnProgress | None = None,
) -> TrainOutcome:
    """Fine-tune `spec.base` on `pairs` and write a plain Hugging Face folder to `output`.

    `output` is a path or an fsspec URL that every node can reach. It must not exist, and appears only when it is
    complete. LoRA students are merged into their base; the adapter itself is in `adapter/`. Lost workers are replaced
    and resume from the last checkpoint. An interrupted call also resumes, if it is repeated with the same spec, pairs
    and output. Several threads may train at the same time. An exception in the calling thread, also one that
    `on_progress` raises, stops the training without output.
    (2412.11231, Section 3 and Table 6: loss on the response only, cosine schedule with warm-up, AdamW.)

    Raises:
        TrainError: If the batch cannot be split, `output` exists, no row has a response, or the training fails.
        TrainingStopped: If another thread shuts down Ray during the training.
    """
    return train_multi_lora(spec, [pairs], [output], placement, on_progress)[0]


def train_multi_lora(
    spec: TrainSpec,
    sets: Sequence[Pairs],
    outputs: Sequence[Path | str],
    placement: TrainPlacement | None = None,
    on_progress: OnProgress | None = None,
) -> list[TrainOutcome]:
    """Train one LoRA student per set of pairs over one frozen base, in one process.

    `outputs` and exceptions are as for `train`. Each student takes the same steps as if it was trained alone, so its
    weights differ only by rounding. Several students cannot have dropout, or more than one worker.
    """
    filesystem, _ = file_system(str(outputs[0]))
    targets = [_target_path(output) for output in outputs]
    for target, output in zip(targets, outputs, strict=True):
        if filesystem.exists(target):
            raise TrainError(f"{output} exists already")
    parent, _, name = targets[0].rpartition("/")
    staging_dir = f"{parent}/.{name}.{digest(spec, sets)}.partial"
    url = staging_dir if _is_local(filesystem) else filesystem.unstrip_protocol(staging_dir)
    outcomes = train_to_staging(spec, sets, url, placement, on_progress)
    for number, target in enumerate(targets):
        move_folder(filesystem, f"{staging_dir}/{STUDENT_PREFIX}{number}", target)
    _remove(filesystem, staging_dir)
    return outcomes


def train_to_staging(
    spec: TrainSpec,
    sets: Sequence[Pairs],
    staging_dir: str,
    placement: TrainPlacement | None = None,
    on_progress: OnProgress | None = None,
) -> list[TrainOutcome]:
    """Train as `train_multi_lora`, but leave the students in `staging_dir` (a path or URL), as `student-0` and so on.

    Checkpoints are written to the same folder. The caller must delete the folder when it is no longer needed. If an
    earlier call with the same spec and pairs (the same `digest`) has left checkpoints there, the training resumes. A
    training that fails leaves nothing.
    """
    placement = placement or TrainPlacement()
    _check(spec, sets, placement)
    filesystem, path = file_system(staging_dir)
    return _run_with_restarts(_make_job(spec, sets, staging_dir, placement), on_progress, filesystem, path)


def can_share_base(spec: TrainSpec, placement: TrainPlacement) -> bool:
    """Return whether students with this recipe can be trained together in one process."""
    alone = placement.workers == 1 and placement.sharding == "none"
    return spec.tuning == "lora" and spec.lora_dropout == 0 and spec.optimizer == "adamw" and alone


def _check(spec: TrainSpec, sets: Sequence[Pairs], placement: TrainPlacement) -> None:
    accumulation_steps(spec, placement.workers)
    for pairs in sets:
        if not any(_row(pair).response.strip() for pair in pairs):
            raise TrainError(f"none of {len(pairs)} rows has a response to learn from")
    if len(sets) > 1 and not can_share_base(spec, placement):
        raise TrainError("only LoRA students without dropout, with AdamW and one worker each can be trained together")


def _row(pair: TrainRow | tuple[str, str]) -> TrainRow:
    return pair if isinstance(pair, TrainRow) else TrainRow(pair[0], pair[1])


def _target_path(output: Path | str) -> str:
    return file_system(output if isinstance(output, str) else str(output.absolute()))[1]


def digest(spec: TrainSpec, sets: Sequence[Pairs]) -> str:
    """Return a name for a training by its spec and pairs: only the same training resumes from its checkpoints."""
    return digest_of("train", spec, [[_row(pair) for pair in pairs] for pairs in sets])[:12]


def _is_local(filesystem: AbstractFileSystem) -> bool:
    return "file" in filesystem.protocol


def _remove(filesystem: AbstractFileSystem, path: str) -> None:
    """Remove a folder if it exists. A process that was just killed may still write to it, so retry a few times."""
    for pause in REMOVE_BACKOFF:
        try:
            if filesystem.exists(path):
                filesystem.rm(path, recursive=True)
            return
        except OSError:
            time.sleep(pause)
    filesystem.rm(path, recursive=True)


def _make_job(spec: TrainSpec, sets: Sequence[Pairs], staging_dir: str, placement: TrainPlacement) -> TrainJob:
    """Return the job; its rows are put into Ray's object store once, whatever the number of workers."""
    import pyarrow as pa
    import ray

    from actors.training.spec import TrainJob

    base = Path(spec.base)
    if base.is_dir():  # workers have their own working directory
        spec = dataclasses.replace(spec, base=str(base.absolute()))
    schema = pa.schema([(name, pa.string()) for name in TrainRow._fields])
    tables: list[Any] = []
    for pairs in sets:
        rows = [_row(pair) for pair in pairs]
        content = [row._asdict() | {"before": json.dumps(row.before)} for row in rows]
        tables.append(ray.put(pa.Table.from_pylist(content, schema)))
    return TrainJob(spec, placement, tuple(tables), staging_dir)


def _run_with_restarts(
    job: TrainJob, on_progress: OnProgress | None, filesystem: AbstractFileSystem, staging_dir: str
) -> list[TrainOutcome]:
    """Run the training, and retry if its process is lost or if what an earlier call has left makes it fail."""
    from ray.exceptions import RayActorError, RayTaskError

    from actors.training.host import MAX_LOST_WORKERS

    resumed = filesystem.exists(staging_dir)
    for failures in range(MAX_LOST_WORKERS + 1):
        try:
            outcomes = _train_once(job, on_progress)
            return [dataclasses.replace(outcome, restarts=outcome.restarts + failures) for outcome in outcomes]
        except RayActorError as error:
            _require_ray()
            if failures == MAX_LOST_WORKERS:
                reason = f"{job.spec.base}: the training lost its process {failures + 1} times"
                raise TrainError(reason, failures) from error
        except RayTaskError as error:
            _require_ray()
            _remove(filesystem, staging_dir)  # resumed from its checkpoint, it would fail again
            if not resumed or failures == MAX_LOST_WORKERS:
                restarts = failures + getattr(error.cause, "restarts", 0)
                cause = error.cause if isinstance(error.cause, Exception) else error
                reason = str(cause) if isinstance(cause, TrainError) else error_line(cause)
                raise TrainError(f"{job.spec.base}: the training failed: {reason}", restarts) from error
            resumed = False  # what was left there may be the cause: retry once, from scratch
    raise AssertionError("unreachable")


def _train_once(job: TrainJob, on_progress: OnProgress | None) -> list[TrainOutcome]:
    from actors.training.host import acquire_host

    in_process = not job.placement.in_group and "://" not in job.staging_dir
    with acquire_host(job.placement.cpus if in_process else 0) as host:
        return _watch_until_done(host, in_process, job, on_progress)


def _watch_until_done(
    host: ActorHandle[Any], in_process: bool, job: TrainJob, on_progress: OnProgress | None
) -> list[TrainOutcome]:
    """Start the training on the host or in a worker group, and report new steps until the result is ready.

    On any error, the host is killed.
    """
    import ray

    last: TrainProgress | None = None
    started = time.monotonic()
    node, pid = cast("tuple[str, int]", ray.get(host.begin.remote(in_process)))
    start = time.monotonic() - started
    result: ray.ObjectRef[list[TrainOutcome]] = (
        host.train_in_process if in_process else host.train_distributed
    ).remote(job)
    progress_ref: Any = host.progress.remote()
    try:
        while result not in ray.wait([result, progress_ref], num_returns=1)[0]:
            _require_ray()
            latest = cast("TrainProgress | None", ray.get(progress_ref))
            if latest is not None and latest != last and on_progress is not None:
                on_progress(*latest)
            last = latest
            ray.wait([result], timeout=POLL_SECONDS)
            _require_ray()
            progress_ref = host.progress.remote()
        return [dataclasses.replace(outcome, start=start) for outcome in ray.get(result)]
    except BaseException:
        if ray.is_initialized():
            _kill_host(host, node, pid, result)
        raise


def _kill_host(host: ActorHandle[Any], node: str, pid: int, result: ray.ObjectRef[list[TrainOutcome]]) -> None:
    """Kill a host and wait until it has exited, so that it does not write checkpoints beside its successor."""
    import ray

    from cluster.processes import kill_process

    ray.kill(host)
    for gone in (kill_process(node, pid), result):
        ray.wait([gone], timeout=KILL_TIMEOUT)


def _require_ray() -> None:
    """Raise TrainingStopped if another thread has shut down Ray: the next call would start a new instance."""
    import ray

    if not ray.is_initialized():
        raise TrainingStopped
