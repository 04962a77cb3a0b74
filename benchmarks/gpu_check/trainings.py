"""Seven kinds of training, each in a group of one process: what alone, DDP and FSDP learn is the same."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import torch.distributed as dist

import bundled
from actors.training.batches import collate, encode_rows, response_token_count
from actors.training.learner import DdpLearner, FsdpLearner, Learner
from actors.training.model import load_model, load_tokenizer, save_student
from actors.training.multi_lora_learner import MultiLoraLearner
from actors.training.spec import TrainRow, TrainSpec
from benchmarks.gpu_check.report import Recorder
from benchmarks.gpu_check.support import device, on_gpu
from cluster.errors import error_line

BASE = str(bundled.path("tiny-4m-base"))
STEPS, RATE = 6, 1e-4
EXACT_LIMIT = 1e-3  # between losses after the last step in float32
# between means over all steps in bfloat16, as shares of the first loss: a rounded update changes all later losses
ROUNDED_LIMIT = 0.02
ROWS = [("say river", "river"), ("say stone now", "stone"), ("say light", "light"), ("name water please", "water")]
PORT = "29501"


@dataclass(frozen=True, slots=True)
class Kind:
    """One way of training. `students` share the process if there are several."""

    how: Literal["alone", "ddp", "fsdp", "multi-lora"]
    tuning: Literal["full", "lora"] = "full"
    dtype: Literal["float32", "bfloat16"] = "float32"
    packing: bool = False

    @property
    def name(self) -> str:
        """The kind as text."""
        return f"{self.tuning}, {self.how}, {self.dtype}{', packed' if self.packing else ''}"

    @property
    def students(self) -> int:
        """The number of students in the process."""
        return 2 if self.how == "multi-lora" else 1


KINDS = (
    Kind("alone"),
    Kind("alone", dtype="bfloat16", packing=True),
    Kind("ddp"),
    Kind("fsdp"),
    Kind("fsdp", dtype="bfloat16", packing=True),
    Kind("alone", "lora", "bfloat16", packing=True),
    Kind("multi-lora", "lora", packing=True),
)


def run(record: Recorder) -> None:
    """Train each kind for a few steps, save and load a checkpoint, and save the student."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": PORT, "RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}
    dist.init_process_group("nccl" if on_gpu() else "gloo")
    found: dict[Kind, list[float]] = {}
    for kind in KINDS:
        try:
            losses, kept = _train(kind)
        except Exception as error:
            record.check(kind.name, False, error=error_line(error))
            continue
        found[kind] = losses
        record.check(kind.name, losses[-1] < losses[0] and kept, first=losses[0], last=losses[-1], saved=kept)
    dist.destroy_process_group()
    full = {kind: losses for kind, losses in found.items() if kind.tuning == "full"}
    exact = [losses[-1] for kind, losses in full.items() if kind.dtype == "float32"]
    _compare(record, "float32: DDP = FSDP = alone, last loss", exact, 3, EXACT_LIMIT)
    rounded = [sum(losses) / losses[0] / STEPS for kind, losses in full.items() if kind.dtype == "bfloat16"]
    _compare(record, "bfloat16, packed: FSDP = alone, mean loss", rounded, 2, ROUNDED_LIMIT)


def _compare(record: Recorder, name: str, losses: Sequence[float], count: int, limit: float) -> None:
    spread = max(losses) - min(losses) if len(losses) == count else float("inf")
    record.check(name, spread < limit, spread=spread, limit=limit)


def _train(kind: Kind) -> tuple[list[float], bool]:
    """Return the loss of each step, and whether checkpoint and student could be saved and loaded."""
    spec = TrainSpec(BASE, tuning=kind.tuning, dtype=kind.dtype, packing=kind.packing, batch_size=4, micro_batch_size=4)
    rows = encode_rows(load_tokenizer(spec), [TrainRow(*row) for row in ROWS], spec).examples
    learner, losses = _learner(kind, spec), list[float]()
    for _ in range(STEPS):
        learner.begin(True)
        found = learner.losses(collate([rows] * kind.students, 0, kind.packing)) / response_token_count(rows)
        learner.backward(found.sum())
        learner.step([RATE] * kind.students)
        losses.append(float(found.detach()[0]))
    return losses, _saves(learner, spec)


def _learner(kind: Kind, spec: TrainSpec) -> Learner:
    torch.manual_seed(0)
    bfloat16 = kind.dtype == "bfloat16"

    def load() -> Any:
        return load_model(spec, getattr(torch, kind.dtype))

    if kind.how == "fsdp":
        return FsdpLearner(load(), spec, bfloat16, load, device())
    model = load().to(device())
    if kind.how == "multi-lora":
        return MultiLoraLearner(model, spec, bfloat16, load, kind.students)
    return (DdpLearner if kind.how == "ddp" else Learner)(model, spec, bfloat16, load)


def _saves(learner: Learner, spec: TrainSpec) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        learner.save(Path(folder) / "checkpoint")
        learner.load(Path(folder) / "checkpoint")
        student = Path(folder) / "student"
        save_student(next(iter(learner.trained_models())), load_tokenizer(spec), torch.float32, str(student))
        return (student / "model.safetensors").is_file()
