"""Compare evaluating eight LoRA students on the engine of their base to loading them merged, one after another.

`python -m benchmarks.adapters_shared` makes eight students of the bundled tiny-4m base (random adapters of rank 8 on
all linear layers, as a training saves them) and evaluates each on the same tasks of the world, as `evolgrid run` does:
through an evaluator's pool, with its router and a warm replica. "merged" loads the students' merged weights one after
another; "in_turn" applies the adapters to one loaded base, one student at a time; "shared" evaluates all students at
once, so that their rows share batches. The replica's start is not counted, all loads after it are.

The last column is the number of answers that differ from the merged students'.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import bundled
from actors.engine import Client, EngineSpec
from actors.serving.pool import Pool
from actors.serving.spec import PoolSpec, ReplicaResources
from actors.training.model import load_model, load_tokenizer, save_student
from actors.training.spec import TrainSpec
from benchmarks.support.lab import figure
from cluster.connection.session import connect
from pipelines.evaluate.suite import answer_benchmark
from pipelines.execution.training.shared_base import AdapterClient
from pipelines.study.inputs.models import MAX_TOGETHER
from pipelines.study.spec.evaluation.benchmarks import Benchmark

STUDENTS, TASKS, RUNS = 8, 150, 3
CPUS = 2
UPDATE = 0.02  # standard deviation of B, which a training would change from 0
GOAL = 0.5
Answers = list[list[str]]


def make_students(count: int, folder: Path) -> list[str]:
    """Return the folders of new students, written as a training writes them."""
    import torch

    base = str(bundled.path("tiny-4m-base"))
    recipe = TrainSpec(base=base, dtype="float32", tuning="lora")
    for number in range(count):
        torch.manual_seed(number)
        model: Any = load_model(recipe, torch.float32)
        for name, weights in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weights.data, std=UPDATE)
        save_student(model, load_tokenizer(recipe), torch.float32, str(folder / str(number)))
    return [str(folder / str(number)) for number in range(count)]


def answers(client: Client, bench: Benchmark, student: str) -> list[str]:
    """Return a student's answers to the benchmark's tasks."""
    rows, failed = asyncio.run(answer_benchmark(client, bench, Path(), 0, Path(student).name))
    assert not failed
    return [row.response for row in rows]


def merged(pool: Pool, base: EngineSpec, bench: Benchmark, students: Sequence[str]) -> Answers:
    """Return the answers of students whose merged weights are loaded one after another."""
    found: Answers = []
    for student in students:
        pool.swap_model(replace(base, model=student))
        found.append(answers(pool.client(), bench, student))
    return found


def in_turn(pool: Pool, base: EngineSpec, bench: Benchmark, students: Sequence[str]) -> Answers:
    """Return the answers of students whose adapters are applied to the loaded base, one student after another."""
    pool.swap_model(_with_adapters(base))
    return [answers(AdapterClient(pool.client(), student), bench, student) for student in students]


def shared(pool: Pool, base: EngineSpec, bench: Benchmark, students: Sequence[str]) -> Answers:
    """Return the answers of students that are evaluated at once on the loaded base."""
    pool.swap_model(_with_adapters(base))
    with ThreadPoolExecutor(MAX_TOGETHER) as threads:
        return [*threads.map(lambda student: answers(AdapterClient(pool.client(), student), bench, student), students)]


def main() -> None:
    """Print a table and the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--students", type=int, default=STUDENTS)
    parser.add_argument("--tasks", type=int, default=TASKS, help="tasks of the world that each student answers")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--cpus", type=int, default=CPUS)
    arguments = parser.parse_args()
    bench = Benchmark.model_validate({"name": "world", "world": {"count": arguments.tasks, "levels": [0, 1, 2]}})
    base, ratios = EngineSpec("transformers", str(bundled.path("tiny-4m-base")), dtype="float32"), list[float]()
    with connect(None, cpus=arguments.cpus), tempfile.TemporaryDirectory() as name:
        students = make_students(arguments.students, Path(name))
        resources = ReplicaResources(cpus=arguments.cpus)
        pool = Pool(PoolSpec(base, "students", resources, max_ongoing_requests=64 * MAX_TOGETHER))
        pool.wait_until_ready(600)
        print(f"{'run':>3} {'way':>10} {'seconds':>9} {'of merged':>10} {'other answers':>14}")
        for run in range(arguments.runs):
            expected, reference = Answers(), 0.0
            for way in (merged, in_turn, shared):
                started = time.monotonic()
                found = way(pool, base, bench, students)
                seconds = time.monotonic() - started
                expected, reference = expected or found, reference or seconds
                ratio, other = seconds / reference, _different(found, expected)
                print(f"{run + 1:>3} {way.__name__:>10} {seconds:>9.1f} {ratio:>10.2f} {other:>14}", flush=True)
            ratios.append(ratio)
        pool.close()
    figure("adapters_shared.ratio", statistics.median(ratios), f"<={GOAL}")


def _with_adapters(base: EngineSpec) -> EngineSpec:
    return replace(base, options=(("lora", True), ("max_loras", MAX_TOGETHER)))


def _different(ours: Answers, theirs: Answers) -> int:
    return sum(
        one != other for mine, its in zip(ours, theirs, strict=True) for one, other in zip(mine, its, strict=True)
    )


if __name__ == "__main__":
    main()
