"""Entries of a study of every kind, and a change of each of their fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from pipelines.study.spec.autoif import AutoIF
from pipelines.study.spec.basics import SamplingSpec, World
from pipelines.study.spec.benchmarks import Benchmark, Judge
from pipelines.study.spec.evolution import Elimination, Evolution, LengthBound, Optimization
from pipelines.study.spec.model import Model
from pipelines.study.spec.recipes import Recipe
from pipelines.study.spec.responses import Decoding
from pipelines.study.spec.scoring import Contamination, Diversity, Judging, Scoring
from pipelines.study.spec.seeds import Seeds
from pipelines.study.spec.selection import Selection
from pipelines.study.spec.study import Study

Entry = dict[str, Any]
FILES = (
    "seeds.jsonl",
    "other.jsonl",
    "items.jsonl",
    "chat.jinja",
    "shots.jsonl",
    "formats.txt",
    "formats2.txt",
    "answers.json",
)


@dataclass(frozen=True)
class Case:
    """A kind of entry of a study: the study with some of these entries, one entry, and what each field is changed to.

    A change is a value of the field, or a whole mapping of fields that only go together. `others` are the fields that
    name or place an entry, and so are in no key. `kinds` are the steps whose keys the entry enters.
    """

    spec: type[BaseModel]
    kinds: tuple[str, ...]
    study: Callable[..., Entry]
    entry: Entry
    changes: Mapping[str, Any]
    others: frozenset[str] = frozenset()
    several: bool = True  # of which a study can have several
    alone: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # fields that enter fewer kinds


def scripted(**parts: Any) -> Entry:
    """A small study with these parts."""
    models = {name: {"source": name, "engine": "scripted"} for name in ("a", "b", "judge")}
    base: Entry = {
        "study": "case",
        "seeds": [{"name": "world", "world": {"count": 4}}],
        "models": models | parts.pop("more_models", {}),
        "evolution": {"evolvers": ["a"], "rounds": 1},
        "responses": {"teachers": ["a"]},
    }
    return base | parts


def named(entries: tuple[Entry, ...], **fixed: Any) -> list[Entry]:
    return [{"name": f"entry{number}"} | fixed | entry for number, entry in enumerate(entries)]


def evolutions(*entries: Entry) -> Entry:
    return scripted(evolution=named(entries, evolvers=["a"]))


def within(key: str, wrap: Callable[..., Entry], **fixed: Any) -> Callable[..., Entry]:
    """A study of entries which lie under `key` of outer ones."""
    return lambda *entries: wrap(*(fixed | {key: entry} for entry in entries))


def benchmarks(*entries: Entry) -> Entry:
    return scripted(
        benchmarks=named(entries), students=[{"model": "a", "recipe": "r"}], recipes={"r": {}}, responses=ANSWERS
    )


def decodings(*entries: Entry) -> Entry:
    return scripted(responses={"teachers": ["a"], "decodings": named(entries)})


def recipes(*entries: Entry) -> Entry:
    students = [{"model": "a", "recipe": f"r{number}"} for number in range(len(entries))]
    return scripted(recipes={f"r{number}": entry for number, entry in enumerate(entries)}, students=students)


def selections(*entries: Entry) -> Entry:
    parts = {"students": [{"model": "a", "recipe": "r"}], "recipes": {"r": {}}}
    return scripted(
        selection=named(entries), rewards=["judge"], scoring={"scorer": "b"}, diversity={"encoder": "org/e"}, **parts
    )


def teachers(*entries: Entry) -> Entry:
    models = {f"teacher{number}": {"source": "x", "engine": "scripted"} | e for number, e in enumerate(entries)}
    return scripted(more_models=models, responses={"teachers": list(models)})


def block(key: str, **parts: Any) -> Callable[..., Entry]:
    return lambda entry: scripted(**{key: entry}, **parts)


ANSWERS = {"teachers": ["a"], "answer_seeds": False}
SAMPLING = {"temperature": 0.70000001, "top_p": 0.90000001, "max_tokens": 33}
PLACEMENT = {"runtime", "replicas", "max_replicas", "in_flight", "shared", "cpus", "gpus", "accelerator"}
AUTO = {"method": "auto-evol-instruct"}
FORMATS = {"method": "autoif"}

CASES = {
    "seeds": Case(
        Seeds,
        ("seeds",),
        lambda *entries: scripted(seeds=named(entries)),
        {"file": "seeds.jsonl"},
        {
            "file": "other.jsonl",
            "world": {"world": {"count": 4}, "file": None},
            "limit": 2,
            "on_bad_row": "quarantine",
            "system": "merge",
            "turns": "first",
            "columns": {"instruction": "text"},
            "on_unused": "refuse",
        },
        frozenset({"name", "split"}),
    ),
    "world": Case(
        World,
        ("seeds",),
        within("world", lambda *entries: scripted(seeds=named(entries))),
        {"count": 4},
        {"count": 5, "levels": [1]},
    ),
    "model": Case(
        Model,
        ("respond",),
        teachers,
        {},
        {
            "source": "y",
            "revision": "0123456789abcdef0123456789abcdef01234567",
            "engine": {"engine": "http", "options": {"url": "http://localhost:1/v1"}},
            "dtype": "float32",
            "max_length": 77,
            "options": {"style": "echo"},
            "chat_template": "chat.jinja",
            "template": {"enable_thinking": False},
        },
        frozenset(PLACEMENT),
    ),
    "decoding": Case(
        Decoding,
        ("respond",),
        decodings,
        {"temperature": 0.7, "top_p": 0.9},
        SAMPLING,
        frozenset({"name", "draw", "candidates", "reward"}),
    ),
    "best-of": Case(
        Decoding,
        ("draw", "choose"),
        decodings,
        {"temperature": 0.7, "top_p": 0.9, "draw": "best-of", "candidates": 4, "reward": "judge"},
        SAMPLING | {"draw": "worst-of", "candidates": 5, "reward": "b"},
        frozenset({"name"}),
        alone={"draw": ("choose",), "reward": ("choose",)},
    ),
    "evolution": Case(
        Evolution,
        ("evolve",),
        evolutions,
        {},
        {
            "method": AUTO,
            "breadth": False,
            "assignment": "random",
            "input": "merge",
            "turn": "first",
            "growth": {"ratio": 2.0},
            "elimination": True,
            "probabilities": 5,
            "sampling": SAMPLING,
        },
        frozenset({"name", "evolvers", "rounds", "autoif", "optimization"}),
    ),
    "evolution's sampling": Case(
        SamplingSpec,
        ("evolve",),
        within("sampling", evolutions),
        {"temperature": 0.7, "top_p": 0.9, "max_tokens": 32},
        SAMPLING,
    ),
    "growth": Case(
        LengthBound, ("evolve",), within("growth", evolutions), {"words": 9, "ratio": 2.0}, {"words": 8, "ratio": 3.0}
    ),
    "elimination": Case(
        Elimination,
        ("eliminate",),
        within("elimination", evolutions),
        {},
        {"judge": "judge", "max_tokens": 7, "sorry_words": 9},
    ),
    "optimization": Case(
        Optimization,
        ("optimize",),
        within("optimization", evolutions, **AUTO),
        {"optimizer": "a"},
        {
            "optimizer": "b",
            "variant": "authors",
            "subset": 9,
            "batch": 3,
            "dev": 4,
            "candidates": 2,
            "steps": 2,
            "rounds": 2,
            "sampling": SAMPLING,
        },
    ),
    "autoif": Case(
        AutoIF,
        ("augment", "verify", "pair", "check"),
        within("autoif", evolutions, **FORMATS),
        {"instructions": "formats.txt", "nli": "a"},
        {
            "instructions": "formats2.txt",
            "rules": "code",
            "runs": 3,
            "generations": 3,
            "nli": "b",
            "queries": 3,
            "responses": 3,
            "judge": "judge",
            "judgements": 2,
            "sandbox": "L1",
        },
        alone={
            "rules": ("verify", "pair", "check"),
            "generations": ("verify", "pair", "check"),
            "nli": ("verify", "pair", "check"),
            "queries": ("pair", "check"),
            "responses": ("check",),
            "judge": ("check",),
            "judgements": ("check",),
            "sandbox": ("verify", "pair", "check"),
        },
    ),
    "selection": Case(
        Selection,
        ("select", "train"),
        selections,
        {"by": "car", "keep": 0.5},
        {
            "by": "reward",
            "keep": 0.4,
            "share_of": "left",
            "size": {"size": 3, "keep": 1.0},
            "equal": True,
            "order": "low",
            "above": -9.0,
            "below": 9.0,
            "at_most": 9.0,
            "apart": 0.1,
            "beta": 2.0,
            "mode": "sigmoid",
        },
        frozenset({"name", "reward"}),  # which rewards are read is in the key by the step that gives them
    ),
    "recipe": Case(
        Recipe,
        ("train",),
        recipes,
        {},
        {
            "tuning": "lora",
            "learning_rate": 1.0000001e-5,
            "epochs": 1,
            "batch_size": 8,
            "micro_batch_size": 2,
            "warmup_ratio": 0.1,
            "warmup_steps": 3,
            "weight_decay": 0.1,
            "max_length": 64,
            "packing": True,
            "precision": "float32",
            "lora_rank": 4,
            "lora_alpha": 4,
            "lora_dropout": 0.1,
            "lora_targets": ["q_proj"],
        },
    ),
    "benchmark": Case(
        Benchmark,
        ("evaluate",),
        benchmarks,
        {"task": "gsm8k", "file": "items.jsonl", "shots_file": "shots.jsonl"},
        {
            "world": {"world": {"count": 4}, "task": None, "file": None, "shots_file": None},
            "task": {"task": "math", "shots_file": None},
            "lm_eval": {"lm_eval": "arc_easy", "task": None, "shots_file": None},
            "file": "other.jsonl",
            "shots_file": "other.jsonl",
            "revision": "0123456789abcdef0123456789abcdef01234567",
            "protocol": {"protocol": "opencompass", "shots_file": None},
            "shots": 2,
            "limit": 2,
            "max_tokens": 77,
        },
        frozenset({"name", "level", "judge", "subjects", "thousands"}),
    ),
    "benchmark by opencompass": Case(
        Benchmark,
        ("evaluate",),
        benchmarks,
        {"task": "gsm8k", "file": "items.jsonl", "protocol": "opencompass"},
        {"thousands": False},
        frozenset(Benchmark.model_fields.keys() - {"thousands"}),
    ),
    "benchmark by subjects": Case(
        Benchmark,
        ("evaluate",),
        benchmarks,
        {"task": "mmlu", "file": "items.jsonl"},
        {"subjects": ["anatomy"]},
        frozenset(Benchmark.model_fields.keys() - {"subjects"}),
    ),
    "judge": Case(
        Judge,
        ("verdict",),
        within("judge", benchmarks, task="compare", file="items.jsonl"),
        {"model": "judge", "reference": "answers.json"},
        {"model": "b", "reference": "a", "swap": True, "max_tokens": 7},
        frozenset({"verdict", "length_control"}),  # the latter only adjusts the report
    ),
    "judge by probability": Case(
        Judge,
        ("verdict",),
        within("judge", benchmarks, task="alpaca_eval", file="items.jsonl"),
        {"model": "judge", "reference": "answers.json"},
        {"verdict": "label"},
        frozenset(Judge.model_fields.keys() - {"verdict"}),
    ),
    "scoring": Case(
        Scoring,
        ("score",),
        block("scoring"),
        {"scorer": "a"},
        {"scorer": "b", "form": "chat", "bos": "always", "boundary": "question", "probabilities": 2},
        several=False,
    ),
    "diversity": Case(
        Diversity,
        ("diversity",),
        block("diversity"),
        {"encoder": "org/a"},
        {"encoder": "org/b", "revision": "0123456789abcdef0123456789abcdef01234567"},
        several=False,
    ),
    "contamination": Case(
        Contamination,
        ("contamination",),
        block("contamination", diversity={"encoder": "org/a"}),
        {"against": ["items.jsonl"]},
        {"against": ["other.jsonl"], "ngrams": [3], "near": 0.9},
        several=False,
    ),
    "judging": Case(
        Judging,
        ("judge",),
        block("judging"),
        {"judge": "a", "metrics": ["difficulty"]},
        {"judge": "b", "metrics": ["category"], "max_tokens": 7},
        several=False,
    ),
    "study": Case(
        Study,
        ("seeds", "respond", "evolve"),
        lambda entry: scripted(**entry),
        {},
        {"seed": 1},
        frozenset(Study.model_fields.keys() - {"seed"}),
        several=False,
    ),
}
