"""A made-up study of realistic shape: 2 evolvers x 3 rounds x 2 teachers x 2 students, and its extremes."""

import math
import random
from dataclasses import replace

from pipelines.operators.select.measurements import ReportedMetric
from pipelines.results.report.data.report import (
    Example,
    LossCurve,
    MethodResult,
    ReplyOutcome,
    ReportData,
    Result,
    RoundOutcome,
    SetScore,
    StepAccount,
    Turn,
)
from pipelines.results.report.data.set_key import SetKey
from pipelines.study.spec.pairs.selection import reported_metrics

EVOLVERS, TEACHERS, STUDENTS = ("tiny", "small"), ("tiny", "small"), (("tiny-base", "full"), ("small-base", "lora"))
SIZES = (("tiny", 1_180_000), ("small", 7_340_000), ("tiny-base", 1_180_000), ("small-base", 7_340_000))
SOURCES = (("", 0), *((evolver, number) for evolver in EVOLVERS for number in (1, 2, 3)))
HOSTILE = '</script><script>alert(1)</script> {{ 7*7 }} {% raw %} <|im_start|> & "quoted" <img src=x onerror=alert(2)>'

SEED = "Reverse the words apple bear copper delta."
EVOLVED = (
    ("constraints", "Reverse the words apple bear copper delta. Put a dash between the items."),
    (
        "deepen",
        "Reverse the words apple bear copper delta. Put a dash between the items. Also say how long the list is.",
    ),
    ("breadth", "Count the numbers 12 7 31 and write the result between brackets."),
)


def sample() -> ReportData:
    """A finished study with every kind of fact."""
    rng = random.Random(7)
    return ReportData(
        study="quickstart",
        description="Do smaller evolvers make better instructions? Two evolvers, teachers and students, closed world.",
        created="2026-11-21T08:12:44Z",
        versions=(
            ("evolgrid", "0.1.0"),
            ("ray", "2.60.0"),
            ("torch", "2.13.1"),
            ("transformers", "5.16.2"),
            ("python", "3.11.9"),
        ),
        wall_seconds=431.0,
        peak_memory_gib=5.34,
        model_sizes=SIZES,
        results=tuple(_results(rng)),
        sets=tuple(_sets(rng)),
        metrics=tuple(map(ReportedMetric, reported_metrics())),
        examples=tuple(_examples()),
        steps=tuple(_steps(rng)),
        losses=tuple(_losses(rng)),
        rounds=(
            RoundOutcome("world", "tiny", 1, "evolved", 188, 94.0),
            RoundOutcome("world", "tiny", 1, "eliminated:no_gain", 12, 6.0),
            RoundOutcome("world", "small", 1, "evolved", 200, 100.0),
        ),
        replies=(
            ReplyOutcome("tiny", "evolver", "accepted", 150, 75.0),
            ReplyOutcome("tiny", "evolver", "repaired:quotes", 40, 20.0),
            ReplyOutcome("tiny", "evolver", "rejected:<b>odd</b>", 10, 5.0),
            ReplyOutcome("small", "teacher", "accepted", 400, 100.0),
        ),
        methods=tuple(_methods()),
    )


def empty() -> ReportData:
    """A study that has only just begun: no students, no scores, no examples."""
    nothing: dict[str, tuple[()]] = dict.fromkeys(
        ("results", "sets", "examples", "steps", "losses", "rounds", "replies", "methods", "model_sizes", "versions"),
        (),
    )
    return replace(sample(), description="", wall_seconds=0.0, peak_memory_gib=None, **nothing)


def foreign() -> ReportData:
    """One round over foreign data: nothing was scored, verified or trained."""
    sets = tuple(replace(each, means={}, correct=None, valid=None) for each in sample().sets if each.set.round <= 1)
    return replace(sample(), study="alpaca-sample", results=(), losses=(), sets=sets, examples=(_hostile_example(),))


def large() -> ReportData:
    """A study with 2,000 trained cells: 4 evolvers x 5 rounds x 25 teachers x 4 selections."""
    rng = random.Random(1)
    results = tuple(
        _result(
            rng, "tiny-base", "full", f"evolver-{evolver}", number, f"teacher-{teacher}", 30 + 5 * number, selection
        )
        for selection in ("all", "ifd-10", "ifd-25", "random-25")
        for teacher in range(25)
        for evolver in range(4)
        for number in range(1, 6)
    )
    return replace(sample(), results=results)


def _results(rng: random.Random) -> list[Result]:
    found: list[Result] = []
    for student, recipe in STUDENTS:
        strength = 14 if student.startswith("small") else 0
        found.append(_result(rng, student, recipe, "", -1, "", 4 + strength / 4, ""))
        for evolver, number in SOURCES:
            for teacher in TEACHERS:
                gain = 24 + 9 * math.sqrt(number) + (7 if teacher == "small" else 0) - (3 if evolver == "tiny" else 0)
                found.append(_result(rng, student, recipe, evolver, number, teacher, strength + gain, "all"))
    return found


def _result(
    rng: random.Random, student: str, recipe: str, evolver: str, number: int, teacher: str, value: float, selection: str
) -> Result:
    value = round(min(98.0, max(0.0, value + rng.uniform(-3, 3))), 2)
    levels = tuple((level, round(max(0.0, min(100.0, value + 24 - 16 * level)), 1)) for level in range(4))
    trained = number >= 0
    return Result(
        "heldout", "accuracy", student, recipe if trained else "", "world" if trained else "", evolver, number, teacher,
        "greedy" if trained else "", selection, rng.randint(180, 200) if trained else 0, value,
        max(0.0, value - 4.1), min(100.0, value + 4.3), levels,
    )  # fmt: skip


def _sets(rng: random.Random) -> list[SetScore]:
    return [
        SetScore(
            SetKey("world", evolver, number, teacher, "greedy"), rng.randint(185, 200), rng.randint(0, 3),
            {
                "ppl_instruction": 38.2 / (1 + number),
                "ppl_answer": 6.1,
                "ppl_conditional": 2.9,
                "ifd": 0.42 + 0.09 * number + rng.uniform(0, 0.05),
                "ic_ifd": 0.011 + 0.004 * number + rng.uniform(0, 0.002),
            },
            8.4 + 6.2 * number, 93.0 - 9 * number, 88.5 - 4 * number if evolver else None,
        )
        for evolver, number in SOURCES
        for teacher in TEACHERS
    ]  # fmt: skip


def _methods() -> list[MethodResult]:
    place = ("world", "tiny", "small", 1)
    first, better = "Instruction: {instruction}", "Better. <b>\nInstruction: {instruction}"
    said = "I would not change it. <br>"
    return [
        MethodResult(*place, 0, "accepted", 20.0, 50, (("stagnant", 10),), 1.1, True, False, first, "", ""),
        MethodResult(*place, 1, "accepted", 6.0, 50, (("stagnant", 3),), 1.7, True, True, better, "Case 1.", better),
        MethodResult(*place, 2, "rejected:no_method_block", None, 0, (), None, False, False, "", "Case 1.", said),
    ]


def _examples() -> list[Example]:
    found: list[Example] = []
    for evolver in EVOLVERS:
        answers = (("tiny", "delta copper bear apple"), ("small", "delta - copper - bear - apple"))
        turns = [Turn(0, "", SEED, "", answers)]
        for number, (method, text) in enumerate(EVOLVED, start=1):
            outcome = "repaired:quotes" if (evolver, number) == ("tiny", 2) else "accepted"
            turns.append(Turn(number, method, text, outcome, answers))
        found.append(Example("seed-0001", "world", evolver, tuple(turns)))
    return [*found, _hostile_example()]


def _hostile_example() -> Example:
    answer = "नमस्ते 👩‍🚀 مرحبا بالعالم\n\n```python\nprint('<b>')\n```\n" + "very long " * 200
    turns = (
        Turn(0, "", f"{HOSTILE} اكتب قصيدة قصيرة", "", (("tiny", answer), ("small", ""))),
        Turn(1, "concretize", f"{HOSTILE} اكتب قصيدة قصيرة عن البحر 🌊 " + "x" * 300, "rejected:leaked_frame", ()),
    )
    return Example("alpaca-17", "world", "tiny", turns)


def _steps(rng: random.Random) -> list[StepAccount]:
    found: list[StepAccount] = []
    for evolver, number in SOURCES[1:]:
        rejected, failed = rng.randint(4, 14), rng.randint(0, 2)
        reasons = (("leaked_frame", rejected - 3), ("empty", 3), ("engine: timed out", failed))
        found.append(_step(rng, "evolve", f"{evolver} round {number}", 200, rejected, failed, reasons, 22, number == 1))
    for evolver, number in SOURCES:
        for teacher in TEACHERS:
            label = f"{evolver or 'seeds'} r{number} → {teacher}"
            found.append(_step(rng, "respond", label, 190, 0, 0, (), 9, not evolver))
            found.append(_step(rng, "score", label, 190, 2, 0, (("empty answer", 2),), 3, not evolver))
            for student, _ in STUDENTS:
                found.append(_step(rng, "train", f"{student} on {label}", 188, 0, 0, (), 14, False))
                found.append(_step(rng, "evaluate", f"{student} on {label}", 200, 0, 0, (), 4, False))
    return found


def _step(
    rng: random.Random,
    kind: str,
    label: str,
    rows: int,
    rejected: int,
    failed: int,
    reasons: tuple[tuple[str, int], ...],
    planned: float,
    cached: bool,
) -> StepAccount:
    out, key = rows - rejected - failed, f"{rng.getrandbits(64):016x}"
    actual = planned * rng.uniform(0.7, 1.5)
    return StepAccount(key, kind, label, rows, out, rejected, failed, reasons, planned, actual, cached)


def _losses(rng: random.Random) -> list[LossCurve]:
    steps = tuple(range(1, 61))
    return [
        LossCurve(
            f"{student} {evolver or 'seeds'} r{number} {teacher}", student, steps,
            tuple(0.4 + 3.1 * math.exp(-step / 14) + 0.05 * number + rng.uniform(-0.06, 0.06) for step in steps),
            evolver, number, teacher,
            900.0 + 50 * number, 0.04 + 0.01 * number, 1.5e11, "measured on 2 threads", 1 + number,
        )
        for student, _ in STUDENTS
        for evolver, number in SOURCES
        for teacher in TEACHERS
    ]  # fmt: skip
