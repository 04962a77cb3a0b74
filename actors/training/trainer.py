"""Fine-tune one student on (user turn, response) pairs: Ray Train runs the workers and restarts lost ones."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from actors.digest import digest as digest_of
from actors.training.spec import STUDENT_PREFIX, TrainError, TrainOutcome, TrainPlacement, TrainSpec, accumulation_steps
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
Pairs = Sequence[tuple[str, str]]  # user turn, response
OnProgress = Callable[[int, int, float], None]  # step, all steps, loss
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
    """Fine-tune `spec.base` on `pairs` and leave a plain Hugging Face folder at `output`.

    `output` is a path or an fsspec URL that every node can reach; it must not exist and appears only when it is
    complete. LoRA students are merged into their base, the adapter itself lies in `adapter/`. Lost workers are
    replaced and resume at the last checkpoint; so does a call after one that was interrupted, with the same spec,
    pairs and output. Several threads may train at the same time; an exception in the calling thread, also one that
    `on_progress` raises, ends the training without output.

    Raises TrainError if the batch can not be split, `output` exists, no row has a response, or the training failed.
    (2412.11231, Section 3 and Table 6: loss on the response only, cosine schedule with warm-up, AdamW.)
    """
    return train_multi_lora(spec, [pairs], [output], placement, on_progress)[0]


def train_multi_lora(
    spec: TrainSpec,
    sets: Sequence[Pairs],
    outputs: Sequence[Path | str],
    placement: TrainPlacement | None = None,
    on_progress: OnProgress | None = None,
) -> list[TrainOutcome]:
    """Train as many LoRA students as there are sets of pairs over one frozen base, in one process.

    Each takes the steps that it would take alone (`train`, whose rules hold), so that its weights are the same but
    for rounding. Several students can not have dropout, or share workers.
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
    """As `train_multi_lora`, but leave the students at `staging_dir` (a path or URL) as `student-0` and so on.

    Checkpoints lie beside them: whoever calls removes all of it once it is not needed any more. What an earlier call
    with the same spec and pairs (the same `digest`) has left there is taken up. A training that fails leaves nothing.
    """
    placement = placement or TrainPlacement()
    _check(spec, sets, placement)
    filesystem, path = file_system(staging_dir)
    return _run_with_restarts(_make_job(spec, sets, staging_dir, placement), on_progress, filesystem, path)


def can_share_base(spec: TrainSpec, placement: TrainPlacement) -> bool:
    """Whether students with this recipe can be trained together in one process."""
    return spec.tuning == "lora" and spec.lora_dropout == 0 and placement.workers == 1 and placement.sharding == "none"


def _check(spec: TrainSpec, sets: Sequence[Pairs], placement: TrainPlacement) -> None:
    accumulation_steps(spec, placement.workers)
    for pairs in sets:
        if not any(response.strip() for _, response in pairs):
            raise TrainError(f"none of {len(pairs)} rows has a response to learn from")
    if len(sets) > 1 and not can_share_base(spec, placement):
        raise TrainError("only LoRA students without dropout and with one worker each can be trained together")


def _target_path(output: Path | str) -> str:
    return file_system(output if isinstance(output, str) else str(output.absolute()))[1]


def digest(spec: TrainSpec, sets: Sequence[Pairs]) -> str:
    """Names a training: what is taken up where it was left has to be the same one."""
    return digest_of("train", spec, sets)[:12]


def _is_local(filesystem: AbstractFileSystem) -> bool:
    return "file" in filesystem.protocol


def _remove(filesystem: AbstractFileSystem, path: str) -> None:
    """Remove what is there. A process that was just killed may write for a moment longer: then try again."""
    for pause in REMOVE_BACKOFF:
        try:
            if filesystem.exists(path):
                filesystem.rm(path, recursive=True)
            return
        except OSError:
            time.sleep(pause)
    filesystem.rm(path, recursive=True)


def _make_job(spec: TrainSpec, sets: Sequence[Pairs], staging_dir: str, placement: TrainPlacement) -> TrainJob:
    """The rows go to Ray's object store once, whatever the number of workers."""
    import pyarrow as pa
    import ray

    from actors.training.spec import TrainJob

    base = Path(spec.base)
    if base.is_dir():  # workers have their own working directory
        spec = dataclasses.replace(spec, base=str(base.absolute()))
    tables: list[Any] = []
    for pairs in sets:
        users, responses = zip(*pairs, strict=True)
        tables.append(
            ray.put(pa.table({"user": pa.array(users, pa.string()), "response": pa.array(responses, pa.string())}))
        )
    return TrainJob(spec, placement, tuple(tables), staging_dir)


def _run_with_restarts(
    job: TrainJob, on_progress: OnProgress | None, filesystem: AbstractFileSystem, staging_dir: str
) -> list[TrainOutcome]:
    """Small trainings run in a warm process, all others in Ray Train's worker group, which outlives lost workers."""
    import ray
    from ray.exceptions import RayActorError, RayTaskError

    from actors.training.host import MAX_LOST_WORKERS

    resumed = filesystem.exists(staging_dir)
    for failures in range(MAX_LOST_WORKERS + 1):
        try:
            outcomes = _train_once(job, on_progress)
            return [dataclasses.replace(outcome, restarts=outcome.restarts + failures) for outcome in outcomes]
        except RayActorError as error:
            if failures == MAX_LOST_WORKERS or not ray.is_initialized():
                reason = f"{job.spec.base}: the training lost its process {failures + 1} times"
                raise TrainError(reason, failures) from error
        except RayTaskError as error:
            _remove(filesystem, staging_dir)  # it would fail again
            if not resumed or failures == MAX_LOST_WORKERS:
                restarts = failures + getattr(error.cause, "restarts", 0)
                raise TrainError(f"{job.spec.base}: the training failed: {error.cause}", restarts) from error
            resumed = False  # unless that was due to what was left there: once more, from nothing
    raise AssertionError("unreachable")


def _train_once(job: TrainJob, on_progress: OnProgress | None) -> list[TrainOutcome]:
    from actors.training.host import acquire_host

    in_process = not job.placement.in_group and "://" not in job.staging_dir
    with acquire_host(job.placement.cpus if in_process else 0) as host:
        return _watch_until_done(host, in_process, job, on_progress)


def _watch_until_done(
    host: ActorHandle[Any], in_process: bool, job: TrainJob, on_progress: OnProgress | None
) -> list[TrainOutcome]:
    """Have the host train, itself or through a group, and tell of new steps until its result is there.

    Whatever goes wrong, the host does not survive it.
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
    """End a host and see it gone, or it would write checkpoints beside its successor."""
    import ray

    from cluster.processes import kill_process

    ray.kill(host)
    for gone in (kill_process(node, pid), result):
        ray.wait([gone], timeout=KILL_TIMEOUT)


def _require_ray() -> None:
    """Ray's calls start a new Ray where the old one has been shut down from another thread."""
    import ray

    if not ray.is_initialized():
        raise TrainError("Ray was shut down during the training")
