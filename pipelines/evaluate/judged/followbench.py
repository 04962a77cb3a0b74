"""FollowBench (2310.20410): instructions with 1 to 5 constraints; does an answer satisfy all of them?

A judge model decides, or a rule where the benchmark has one. Rows of level 0, instructions without constraints, are
skipped.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from pipelines.evaluate.items.data_files import RECORD_SUFFIXES, read_records, require_fields
from pipelines.evaluate.items.item import Grade, Item
from pipelines.evaluate.judged.followbench_rules import has_rule, satisfies
from pipelines.evaluate.judged.judge_client import JudgeCase, JudgeClient, Judgement
from pipelines.rows.types import AnswerRow
from pipelines.study.spec.evaluation.benchmarks import Benchmark, Judge

LEVELS = (1, 2, 3, 4, 5)
CHINESE = "data_zh"
SITUATION = "situation constraint (information to describe a specific situation/background)"


def items(bench: Benchmark, path: Path) -> list[Item]:
    """Return the English tasks of levels 1 to 5 of a folder or file.

    The `history` in an item's data has the instructions of all levels up to the item's level.
    """
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    groups: dict[tuple[str, int], list[Mapping[str, Any]]] = defaultdict(list)
    for file in (file for file in files if _is_english(file, path)):
        for row in read_records(file):
            category, example, _, _ = require_fields(row, file, "category", "example_id", "level", "instruction")
            groups[_category_of(file) or category, example].append(row)
    made = [
        _item(category, example, row, group)
        for (category, example), group in groups.items()
        for row in group
        if row["level"] > 0
    ]
    return made[: bench.limit]


def _category_of(file: Path) -> str | None:
    """Return the category in a published file's name: rows of the mixed file have those of their constraints."""
    found = re.search(r"(\w+)_constraints\.json", file.name)
    return found[1] if found else None


def _is_english(file: Path, path: Path) -> bool:
    return file == path or (file.name.endswith(RECORD_SUFFIXES) and not file.name.startswith(CHINESE))


def _item(category: str, example: int, row: Mapping[str, Any], group: Sequence[Mapping[str, Any]]) -> Item:
    history = [
        one["instruction"] for one in sorted(group, key=lambda one: one["level"]) if one["level"] <= row["level"]
    ]
    name, level = f"{category}/{example}/{row['level']}", int(row["level"])
    data = {**row, "history": history}
    return Item(name, (("user", row["instruction"]),), str(row.get("target", "")), category, level, data=data)


async def judge(judge_client: JudgeClient, case: JudgeCase, judge_config: Judge) -> Judgement:
    """Judge which constraints the answer satisfies. If a reply cannot be parsed, it satisfies none (`unparsed`)."""
    del judge_config
    if has_rule(case.data):
        met = satisfies(case.data, case.answers[-1])
        return Judgement(_grade([met], lost=False, words=("rule",)))
    level, history = case.level, case.data["history"]
    added = {"situation": SITUATION, "mixed": "constraint"}.get(case.kind, f"{case.kind} constraint")
    shown = {"constraint": added, "history": format_history(history), "answer": case.answers[-1]}
    if level == 1:
        reply = await judge_client.ask_verdict("judge_followbench_one", **shown)
    else:
        reply = await judge_client.ask_verdict("judge_followbench", **shown, level=str(level))
    words = (reply.value or "").split(",")
    lost = reply.value is None or (level > 1 and len(words) != level)
    return Judgement(_grade([word == "YES" for word in words[:level]], lost, tuple(words)), tuple(judge_client.raw))


def format_history(history: Sequence[str]) -> str:
    """Format the instruction with 0, 1, 2, … constraints, each under its heading."""
    parts = [f"#Initial Instruction#\n{history[0]}"]
    for count, text in enumerate(history[1:], 1):
        parts.append(f"#Initial Instruction + {count} constraint{'s' if count > 1 else ''}#\n{text}")
    return "\n\n".join(parts)


def _grade(met: Sequence[bool], lost: bool, words: tuple[str, ...]) -> Grade:
    hard, soft = (False, 0.0) if lost else (all(met), sum(met) / len(met))
    return Grade(hard, {"HSR": (float(hard), 1.0), "SSR": (soft, 1.0), "unparsed": (float(lost), 1.0)}, words)


def level_of(row: AnswerRow) -> int:
    """Return the number of constraints of a row's task."""
    return row.level


def summarize(
    means: Mapping[str, float], rows: Sequence[AnswerRow], judge_config: Judge | None, folder: Path | None
) -> dict[str, float]:
    """Return HSR and SSR (plain mean of the levels, and weighted as in FollowBench's code), CSL, and HSR by level."""
    del means, judge_config, folder
    hard, soft = mean_by_level(rows, "HSR"), mean_by_level(rows, "SSR")
    return {
        "HSR": mean_of_levels(hard),
        "HSR weighted": weighted_mean_of_levels(hard),
        "SSR": mean_of_levels(soft),
        "SSR weighted": weighted_mean_of_levels(soft),
        "CSL": 100 * consistent_levels(rows) / len(LEVELS),
        **{f"HSR {level}": value for level, value in hard.items()},
    }


def mean_by_level(rows: Sequence[AnswerRow], measure: str) -> dict[int, float]:
    """Return a measure in per cent for each level that has rows: the mean over categories of their rows' means."""
    levels = sorted({row.level for row in rows})
    return {
        level: 100 * _mean_of_categories((row.task, row.measure(measure) or 0.0) for row in rows if row.level == level)
        for level in levels
    }


def consistent_levels(rows: Sequence[AnswerRow]) -> float:
    """Return the mean number of levels, counted from 1, that are satisfied without a gap (CSL, 0 to 5).

    It is the mean over categories of the mean over their examples.
    """
    satisfied: dict[tuple[str, str], set[int]] = defaultdict(set)
    for row in rows:
        met = satisfied[row.task, row.item.rpartition("/")[0]]
        if row.measure("HSR"):
            met.add(row.level)
    return _mean_of_categories(
        (category, next((level - 1 for level in LEVELS if level not in met), len(LEVELS)))
        for (category, _), met in satisfied.items()
    )


def _mean_of_categories(values: Iterable[tuple[str, float]]) -> float:
    by_category: dict[str, list[float]] = defaultdict(list)
    for category, value in values:
        by_category[category].append(value)
    return fmean(fmean(found) for found in by_category.values())


def mean_of_levels(levels: Mapping[int, float]) -> float:
    """Return the plain mean of the levels (2412.11231)."""
    return sum(levels.values()) / len(levels)


def weighted_mean_of_levels(levels: Mapping[int, float]) -> float:
    """Return the mean of the levels, each weighted by its number of constraints (FollowBench's code)."""
    return sum(level * value for level, value in levels.items()) / sum(levels)
