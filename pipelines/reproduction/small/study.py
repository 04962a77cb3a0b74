"""Turns a study into its miniature: the same grid with other models, seeds, recipes and benchmarks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.reproduction.small.assignment import Checkpoint, assigned_checkpoints
from pipelines.study.file.python_values import plain_block
from pipelines.study.spec.evaluation.benchmarks import Benchmark
from pipelines.study.spec.instructions.evolution import Evolution, Optimization
from pipelines.study.spec.presentation.miniature import IN_MINIATURE
from pipelines.study.spec.study import Study

PLUGIN = "closed_world.py"
FORMATS_FILE = "formats.txt"
JUDGE = "exact-judge"
SEEDS = 48
LARGE_GRID = 50  # from how many pairs of a teacher and a student
SEEDS_OF_LARGE_GRIDS, ITEMS_OF_LARGE_GRIDS = 24, 16
MAX_ROWS = 240  # where a selection keeps a small share of them
FEWEST_SELECTED = 10
STEPS = 2  # of an optimization; where a study compares numbers of steps, the smallest one becomes 1
EVOLVE_TOKENS = {"evol-instruct": 96, "auto-evol-instruct": 320, "autoif": 480}
ANSWER_TOKENS = 48
CANDIDATES = 3
RECIPE: Mapping[str, Any] = {
    "tuning": "lora",
    "lora_rank": 16,
    "lora_alpha": 32,
    "learning_rate": 4.0e-3,
    "epochs": 5,
    "batch_size": 16,
    "micro_batch_size": 2,  # so small that students of one base share a process on CPUs
    "warmup_ratio": 0.1,
    "max_length": 256,
}
EPOCHS_OF_LARGE_SETS = 2
_DATA = "data"
_LEVELS = ([0], [0, 1], [1], [0, 1, 2])
_DROPPED = ("budget", "trackers", "search", "diversity", "contamination", "plugins", "evolgrid")


@dataclass(frozen=True)
class Miniature:
    """A study in miniature.

    Attributes:
        content: What its file says.
        checkpoints: The checkpoint of each model.
        left_out: The parts of the study that it does not have, with the reasons.
    """

    content: Mapping[str, Any]
    checkpoints: Mapping[str, Checkpoint]
    left_out: tuple[str, ...]


def miniature(study: Study) -> Miniature:
    """Return the miniature of a study."""
    content, parts = plain_block(study), assigned_checkpoints(study)
    left_out = [f"{key}: {reason}" for key, reason in _reasons(study)]
    content = {key: value for key, value in content.items() if key not in _DROPPED}
    content |= {
        "study": f"{study.study}-small",
        "description": IN_MINIATURE + study.description,
        "plugins": [PLUGIN],
        "seeds": [
            {"name": one.name, "world": {"count": _rows(study), "levels": _LEVELS[index % len(_LEVELS)]}}
            for index, one in enumerate(study.seeds)
        ],
        "models": {name: _model(study, name, checkpoint) for name, checkpoint in parts.items()} | _judge(study),
        "evolution": [_evolution(one, study) for one in study.evolution],
        "responses": _responses(study),
        "selection": [_selection(plain_block(one)) for one in study.selection],
        "recipes": {name: _recipe(study) for name in study.recipes},
        "students": [_student(plain_block(one), study) for one in study.students],
        "benchmarks": [
            _benchmark(one, index) | ({"limit": ITEMS_OF_LARGE_GRIDS} if _is_large(study) else {})
            for index, one in enumerate(study.benchmarks)
        ],
    }
    if study.judging:
        content["judging"] = plain_block(study.judging) | {"judge": JUDGE, "share": 1.0}
    return Miniature({key: value for key, value in content.items() if value}, parts, tuple(left_out))


def _reasons(study: Study) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    if study.diversity:
        found.append(("diversity", "no encoder is bundled"))
    if study.contamination:
        found.append(("contamination", "the tasks of the closed world are disjoint"))
    if any(one.judge and one.judge.length_control for one in study.benchmarks):
        found.append(("the length-controlled win rate", "it needs a fit to AlpacaEval's own instructions"))
    return found


def _rows(study: Study) -> int:
    """Return the number of seeds: fewer for a large grid, and more if a selection keeps a small share."""
    least = min((one.keep for one in study.selection), default=1.0)
    usual = SEEDS_OF_LARGE_GRIDS if _is_large(study) else SEEDS
    return min(MAX_ROWS, max(usual, round(FEWEST_SELECTED / least)))


def _is_large(study: Study) -> bool:
    return len(study.responses.teachers) * len(study.students) >= LARGE_GRID


def _model(study: Study, name: str, checkpoint: Checkpoint) -> dict[str, Any]:
    model = study.models[name]
    kept = {key: value for key, value in plain_block(model).items() if key in ("family", "parameters")}
    classifier = {"engine": "classifier"} if checkpoint.end in ("tiny-1m-reward", "tiny-1m-nli") else {}
    trained = {"cpus": 0.6, "dtype": "float32"} if name in study.bases else {"cpus": 0.2}
    return {"source": checkpoint.source, "max_length": 1024} | classifier | trained | kept


def _judge(study: Study) -> dict[str, Any]:
    judged = study.judging or any(one.judge for one in study.benchmarks)
    return {JUDGE: {"source": JUDGE, "engine": "exact_judge", "max_length": 8192, "cpus": 0.1}} if judged else {}


def _evolution(evolution: Evolution, study: Study) -> dict[str, Any]:
    content = plain_block(evolution)
    content["sampling"] = plain_block(evolution.sampling) | {"max_tokens": EVOLVE_TOKENS.get(evolution.method, 96)}
    if evolution.optimization:
        small = {"subset": 24, "batch": 4, "dev": 6} | _sizes(evolution.optimization, study)
        sampling = plain_block(evolution.optimization.sampling) | {"max_tokens": 400}
        content["optimization"] = plain_block(evolution.optimization) | small | {"sampling": sampling}
    if evolution.autoif:
        small = {"instructions": FORMATS_FILE, "runs": 2}
        content["autoif"] = plain_block(evolution.autoif) | small
    return content


def _sizes(optimization: Optimization, study: Study) -> dict[str, int]:
    """Return the numbers of steps and candidates: where the study compares several, their ranks."""
    compared = [one.optimization for one in study.evolution if one.optimization]
    steps, candidates = (sorted({getattr(one, key) for one in compared}) for key in ("steps", "candidates"))
    return {
        "steps": steps.index(optimization.steps) + 1 if len(steps) > 1 else STEPS,
        "candidates": candidates.index(optimization.candidates) + 1 if len(candidates) > 1 else CANDIDATES,
    }


def _responses(study: Study) -> dict[str, Any]:
    content = plain_block(study.responses)
    if study.responses.given:
        content["given"] = [{"name": one.name, "column": "output"} for one in study.responses.given]
    content["decodings"] = [plain_block(one) | {"max_tokens": ANSWER_TOKENS} for one in study.responses.decodings]
    return content


def _selection(content: dict[str, Any]) -> dict[str, Any]:
    return content | ({"size": min(content["size"], SEEDS // 2)} if "size" in content else {})


def _recipe(study: Study) -> dict[str, Any]:
    """Return the recipe of all students: with fewer epochs for AutoIF, which pairs each format with many queries."""
    large = any(one.autoif for one in study.evolution)
    return {**RECIPE, "epochs": EPOCHS_OF_LARGE_SETS if large else RECIPE["epochs"]}


def _student(content: dict[str, Any], study: Study) -> dict[str, Any]:
    kept = {key: content[key] for key in ("model", "recipe", "seeds") if key in content}
    return kept | {"together": max(8, len(study.responses.teachers) + 1)}


def _benchmark(bench: Benchmark, index: int) -> dict[str, Any]:
    """Return the benchmark with the same name and the same metrics on tasks of the closed world."""
    if bench.kind == "ifeval":
        return {"name": bench.name, "task": "formats", "file": f"{_DATA}/ifeval.jsonl"}
    if bench.judge is None:
        tasks = {"count": 40, "levels": _LEVELS[index % len(_LEVELS)]}
        return {"name": bench.name, "world": tasks, "max_tokens": ANSWER_TOKENS}
    judge = {key: value for key, value in plain_block(bench.judge).items() if key not in ("model", "length_control")}
    if isinstance(bench.judge.reference, str):
        judge["reference"] = f"{_DATA}/{_REFERENCES[bench.kind]}"
    name = f"{_DATA}/{_ITEMS[bench.kind]}"
    shared = {"name": bench.name, "task": bench.kind, "file": name, "max_tokens": ANSWER_TOKENS}
    return shared | {"judge": {"model": JUDGE} | judge}


_ITEMS = {
    "alpaca_eval": "alpaca_eval.json",
    "compare": "alpaca_eval.json",
    "arena_hard": "arena_hard.jsonl",
    "mt_bench": "mt_bench.jsonl",
    "followbench": "followbench.jsonl",
}
_REFERENCES = {
    "alpaca_eval": "alpaca_eval.json",
    "compare": "alpaca_eval.json",
    "arena_hard": "arena_hard_reference.jsonl",
    "mt_bench": "mt_bench_reference.jsonl",
}
