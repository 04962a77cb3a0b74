"""The training loop of every worker: load, encode, train step by step, save. Import it late: it imports torch."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import ray.train.torch
import torch
import transformers
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from actors.inference.chat_template import end_of_turn, template_ids
from actors.inference.model_loading import usable_length
from actors.model_folder.config import load_decoder_config
from actors.model_folder.vocabulary import check_vocabulary, embedding_rows, pad_id
from actors.training.batches import DataOrder, Rows, SftData, collate, encode_rows, micro_batches, response_token_count
from actors.training.checkpoints import GroupCheckpoints, LocalCheckpoints
from actors.training.learner import DdpLearner, FsdpLearner, Learner
from actors.training.model import compute_dtype, load_model, load_tokenizer, save_student, saved_dtype
from actors.training.multi_lora_learner import MultiLoraLearner
from actors.training.packed_attention import check_rows_apart
from actors.training.peak_flops import peak_flops
from actors.training.spec import (
    STUDENT_PREFIX,
    Speed,
    TrainOutcome,
    TrainRow,
    TrainSpec,
    accumulation_steps,
    schedule,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from actors.training.spec import TrainJob

Report = Callable[[int, int, float], None]  # step, number of steps, loss
METRICS_FILE = "notes.json"


@dataclass
class TrainingLoop:
    """One worker's part of a training. `losses` has those of every finished step, one per student."""

    job: TrainJob
    learner: Learner
    data_orders: Sequence[DataOrder]
    pad_id: int
    report: Report
    worker: int
    workers: int
    losses: list[list[float]] = field(default_factory=list[list[float]])
    seen_tokens: int = 0

    @property
    def steps(self) -> int:
        """The number of optimizer steps; students with fewer rows finish earlier."""
        return max(order.steps for order in self.data_orders)

    def run(self, checkpoints: LocalCheckpoints | GroupCheckpoints) -> None:
        """Train to the end, from the last complete checkpoint if there is one."""
        with checkpoints.latest() as folder:
            if folder is not None:
                self.learner.load(folder)
                self.losses = json.loads((folder / METRICS_FILE).read_text())
        checkpoint_interval = self.job.placement.checkpoint_steps or math.ceil(self.steps / self.job.spec.epochs)
        self.learner.model.train()
        while (step := len(self.losses)) < self.steps:
            self.losses.append(self.step(step))
            if self.worker == 0:
                self.report(step + 1, self.steps, sum(self.losses[-1]) / len(self.losses[-1]))
            if (step + 1) % checkpoint_interval == 0 and step + 1 < self.steps:
                checkpoints.save(step + 1, self.write_checkpoint)

    def step(self, step: int) -> list[float]:
        """Take one optimizer step; return each student's mean loss over the answer tokens of all workers."""
        spec, rows = self.job.spec, [order.rows(step) for order in self.data_orders]
        torch.manual_seed(hash((spec.seed, step, self.worker)) % 2**63)  # dropout is the same after a resume
        counts = torch.tensor(
            [max(1, response_token_count(one)) for one in rows], device=self.learner.device
        )  # [students]
        min_passes = accumulation_steps(spec, self.workers) if self.learner.equal_pass_counts else 1
        micro_batch_list = [*micro_batches(rows, spec.micro_batch_size, self.worker, self.workers, min_passes)]
        total = torch.zeros(len(rows), device=self.learner.device)  # [students]
        for number, part in enumerate(micro_batch_list):
            total += self.forward_and_backward(part, counts, number == len(micro_batch_list) - 1)
        self.learner.step([schedule(spec, order.steps).rate(step) for order in self.data_orders])
        if self.workers > 1:
            torch.distributed.all_reduce(total)
        self.seen_tokens += sum(len(row["input_ids"]) for one in rows for row in one)
        return (total / counts).tolist()

    def forward_and_backward(self, rows: Sequence[Rows], counts: Tensor, last: bool) -> Tensor:
        """Run one forward and backward pass of this worker; return each student's sum of losses, [students]."""
        self.learner.begin(last)
        losses = self.learner.losses(collate(rows, self.pad_id, self.job.spec.packing))  # [students]
        self.learner.backward((losses / counts).sum() * self.workers)  # workers' gradients are averaged
        return losses.detach()

    def write_checkpoint(self, folder: Path) -> None:
        """Write this worker's part of a checkpoint."""
        self.learner.save(folder)
        if self.worker == 0:
            (folder / METRICS_FILE).write_text(json.dumps(self.losses))


def train_worker(job: TrainJob, scratch: Path | None, report: Report) -> list[TrainOutcome]:
    """Run one worker's share of `job` inside Ray Train; worker 0 saves the trained students in the staging folder.

    Checkpoints are written to and resumed from `scratch` or, if it is None, Ray Train's storage.
    """
    _silence_libraries()
    torch.set_num_threads(job.threads)
    tokenizer, dtype = load_tokenizer(job.spec), compute_dtype(job.spec, job.placement.gpus > 0)
    config = load_decoder_config(job.spec.base, job.spec.revision)
    check_vocabulary(job.spec.base, tokenizer, config, template_ids(tokenizer) | {end_of_turn(tokenizer)})
    encoded = replace(job.spec, max_length=usable_length(job.spec.max_length, config))
    data = [_encode(encoded, tokenizer, table) for table in ray.get(list(job.pairs))]
    workers, worker = (1, 0) if scratch else _world_size_and_rank()
    learner = _make_learner(job, dtype, workers, in_process=scratch is not None)
    if job.spec.packing:
        check_rows_apart(
            learner.model, job.spec.base, embedding_rows(config), len(data), learner.device, learner.bfloat16
        )
    data_orders = [DataOrder(one.examples, job.spec) for one in data]
    loop = TrainingLoop(job, learner, data_orders, pad_id(tokenizer, config), report, worker, workers)
    started = time.monotonic()
    loop.run(LocalCheckpoints(scratch) if scratch else GroupCheckpoints())
    seconds = time.monotonic() - started
    for number, model in enumerate(learner.trained_models()):
        save_student(model, tokenizer, saved_dtype(job.spec), f"{job.staging_dir}/{STUDENT_PREFIX}{number}")
    return _outcomes(loop, data, seconds, dtype)


def _silence_libraries() -> None:
    """Silence logs and progress bars of libraries: the driver displays the progress."""
    for library in ("ray.train", "DeepSpeed"):
        logging.getLogger(library).addFilter(lambda record: record.levelno >= logging.ERROR)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def _encode(spec: TrainSpec, tokenizer: PreTrainedTokenizerBase, table: pa.Table) -> SftData:
    rows = [
        TrainRow(**row | {"before": tuple((role, content) for role, content in json.loads(row["before"]))})
        for row in table.to_pylist()
    ]
    return encode_rows(tokenizer, rows, spec)


def _world_size_and_rank() -> tuple[int, int]:
    context = ray.train.get_context()
    return context.get_world_size(), context.get_world_rank()


def _make_learner(job: TrainJob, dtype: torch.dtype, workers: int, in_process: bool) -> Learner:
    spec, sharding, bfloat16 = job.spec, job.placement.sharding, dtype == torch.bfloat16
    load = partial(_load, job, dtype)
    device = torch.device("cpu") if in_process else ray.train.torch.get_device()
    assert isinstance(device, torch.device)
    if sharding in ("zero2", "zero3"):
        from actors.training.deepspeed_learner import DeepSpeedLearner, zero_config

        config = zero_config(int(sharding[-1]), spec, accumulation_steps(spec, workers), bfloat16)
        return DeepSpeedLearner(load, spec, bfloat16, config, device)
    if sharding == "fsdp":
        return FsdpLearner(load(), spec, bfloat16, load, device)
    model = load().to(device)
    if len(job.pairs) > 1:
        return MultiLoraLearner(model, spec, bfloat16, load, len(job.pairs))
    return (DdpLearner if workers > 1 else Learner)(model, spec, bfloat16, load)


def _load(job: TrainJob, dtype: torch.dtype) -> nn.Module:
    transformers.set_seed(job.spec.seed)  # for the initial LoRA weights
    model = load_model(job.spec, dtype)
    if job.placement.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    return model


def _outcomes(loop: TrainingLoop, data: Sequence[SftData], seconds: float, dtype: torch.dtype) -> list[TrainOutcome]:
    """Return the outcome of each student; the seconds of the process are divided by the students' tokens."""
    speed, epochs = _speed(loop, seconds, dtype), loop.job.spec.epochs
    total = sum(one.tokens for one in data)
    return [
        TrainOutcome(
            rows=len(one.examples),
            dropped=one.dropped,
            shortened=one.shortened,
            steps=order.steps,
            tokens=one.tokens * epochs,
            seconds=seconds * one.tokens / total,
            losses=tuple((step + 1, loop.losses[step][number]) for step in range(order.steps)),
            speed=speed,
            together=len(data),
        )
        for number, (one, order) in enumerate(zip(data, loop.data_orders, strict=True))
    ]


def _speed(loop: TrainingLoop, seconds: float, dtype: torch.dtype) -> Speed:
    """Return the speed over the steps since the last resume."""
    rate = loop.seen_tokens / max(seconds, 1e-9)
    peak, source = peak_flops(loop.learner.device, dtype, loop.job.threads)
    count = loop.learner.parameter_count
    return Speed(rate, 6 * count * rate / (peak * loop.workers), count, peak * loop.workers, source)
