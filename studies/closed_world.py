"""Plug-in of the miniatures: a judge that knows the closed world's answers, and a benchmark of formats."""

from __future__ import annotations

import difflib
import json
import math
import re
import time
from collections.abc import Callable
from pathlib import Path

from actors.engine import EngineSpec, Feature, GenerateRequest, Generation, RequestError, check_features
from actors.engines.registry import EngineInfo
from actors.engines.unsupported import UnsupportedEngine
from bundled.world import level_of
from bundled.world.formats import Format, parse_format
from bundled.world.grammar import parse
from bundled.world.lexicon import is_number
from pipelines.evaluate.items.data_files import read_records, require_fields
from pipelines.evaluate.items.item import Grade, Item
from pipelines.evaluate.items.scoring import Scoring
from pipelines.plugins import EngineKind, GradedBenchmark
from pipelines.rows.types import AnswerRow
from pipelines.study.spec.evaluation.benchmark_kinds import BenchmarkKind
from pipelines.study.spec.evaluation.benchmarks import Benchmark
from prompts.parse import DIFFICULTY_LABELS

CERTAIN = 0.95  # probability of the better of two answers
MARGIN = 0.5  # difference of qualities from which an answer is significantly better
Reply = tuple[str, tuple[tuple[str, float], ...]]


def quality(instruction: str, answer: str) -> float:
    """Return 1 for the right answer, at most 0.8 for a similar one; 0 for an instruction that is not of the world."""
    task = parse(instruction)
    if task is None:
        return 0.0
    right, given = task.answer().split(), answer.split()
    return 1.0 if right == given else 0.8 * difflib.SequenceMatcher(None, right, given, autojunk=False).ratio()


def formats_of(instruction: str) -> list[Format]:
    """Return the formats that the sentences after the first one of an instruction ask for."""
    sentences = re.findall(r"[^.]+\.", instruction)[1:]
    return [found for sentence in sentences if (found := parse_format(sentence))]


def _alpaca_eval(instruction: str, first: str, second: str) -> Reply:
    lead = quality(instruction, first) - quality(instruction, second)
    share = 0.5 if lead == 0 else CERTAIN if lead > 0 else 1 - CERTAIN
    options = sorted((("m", math.log(share)), ("M", math.log(1 - share))), key=lambda option: -option[1])
    return options[0][0], tuple(options)


def _arena_hard(question: str, first: str, second: str) -> Reply:
    lead = quality(question, first) - quality(question, second)
    sign = "=" if lead == 0 else ">>" if abs(lead) > MARGIN else ">"
    return f"[[A{sign}B]]" if lead >= 0 else f"[[B{sign}A]]", ()


def _compare(question: str, first: str, second: str) -> Reply:
    lead = quality(question, first) - quality(question, second)
    word = "equal to" if lead == 0 else "better than" if lead > 0 else "worse than"
    return f"Assistant 1 is {word} Assistant 2", ()


def _rate(question: str, answer: str) -> Reply:
    return f"Rating: [[{round(1 + 9 * quality(question, answer))}]]", ()


def _follow(instruction: str, answer: str) -> Reply:
    return json.dumps(["YES" if one.holds(answer) else "NO" for one in formats_of(instruction)]).replace('"', "'"), ()


def _difficulty(instruction: str) -> Reply:
    return DIFFICULTY_LABELS[level_of(instruction) or 0], ()


def _difficulty_score(instruction: str) -> Reply:
    return str(10 + 20 * (level_of(instruction) or 0)), ()


def _tags(instruction: str) -> Reply:
    task = parse(instruction)
    said = [task.kind, "numbers" if is_number(task.arguments[0]) else "words", *task.constraints] if task else []
    return json.dumps(said), ()


def _first_words(line: str) -> Reply:
    return " ".join(re.findall(r"\w+", line)[:4]) or "none", ()


# how each prompt of a judge is recognised, and what replies to its texts
_REPLIES: tuple[tuple[str, Callable[..., Reply]], ...] = (
    (
        r'"instruction": """(.*?)""",\n}.*"model_identifier": "m",\s+"output": """(.*?)"""\s+}.*'
        r'"output": """(.*)"""\s+}',
        _alpaca_eval,
    ),
    (
        r"<\|User Prompt\|>\n(.*?)\n\n<\|The Start of Assistant A's Answer\|>\n(.*?)\n<\|The End of Assistant A's "
        r"Answer\|>\n\n<\|The Start of Assistant B's Answer\|>\n(.*)\n<\|The End",
        _arena_hard,
    ),
    (
        r"\[User\]\n(.*?)\n\[End of User\]\n\n\[Assistant 1\]\n(.*?)\n\[End of Assistant 1\]\n\n\[Assistant 2\]\n(.*)\n"
        r"\[End of Assistant 2\]",
        _compare,
    ),
    (r".*### User:\n(.*?)\n\n### Assistant A:\n(.*?)\n\n<\|The End of Assistant A", _rate),
    (r"\[Question\]\n(.*?)\n\n.*\[The Start of Assistant's Answer\]\n(.*)\n\[The End", _rate),
    (
        r".*\n#Initial Instruction \+ \d constraints?#\n(.*?)\n\n#Answer of Initial Instruction \+ \d constraints?#\n"
        r"(.*?)\n\n#System#",
        _follow,
    ),
    (r"Identify the intent of the instruction .*Instruction: (.*)", _difficulty),
    (r"How difficult is it .*Instruction: (.*)", _difficulty_score),
    (r"What does a person who writes .*Instruction: (.*)", _tags),
    (r"The line below describes .*Line: (.*)", _first_words),
)


class ExactJudge(UnsupportedEngine):
    """Replies to the prompts of judges with what the closed world says of the answers. A token is a word."""

    features: frozenset[Feature] = frozenset({"top_logprobs"})

    def __init__(self, spec: EngineSpec) -> None:
        del spec

    async def generate(self, request: GenerateRequest) -> Generation:
        """Return the verdict.

        Raises:
            RequestError: The request is not a known prompt of a judge.
        """
        check_features(self.features, request)
        prompt = request.messages[-1][1]
        for pattern, reply in _REPLIES:
            if found := re.search(pattern, prompt, re.DOTALL):
                text, options = reply(*found.groups())
                counted = len(prompt.split()), len(text.split())
                return Generation(request.id, text, "stop", *counted, alternatives=options[: request.top_logprobs])
        raise RequestError("unknown_prompt", "the exact judge does not know this prompt")

    def progress(self) -> int:
        """Return the time in tenths of a second: every request is answered at once."""
        return int(time.monotonic() * 10)

    async def sleep(self) -> None:
        """Raise RequestError: there are no weights to offload."""
        raise RequestError("unsupported", "the exact judge has no weights to offload")

    async def wake(self) -> None:
        """Raise RequestError: it never sleeps."""
        await self.sleep()

    def close(self) -> None:
        """Do nothing: there is nothing to free."""


JUDGE = EngineKind("exact_judge", EngineInfo(ExactJudge, 256, memory_model="none", options={}))


def items(bench: Benchmark, path: Path) -> list[Item]:
    """Return the instructions of a JSON Lines file: each row has a `prompt` with formats."""
    rows = [require_fields(row, path, "prompt")[0] for row in read_records(path)[: bench.limit]]
    return [Item(str(number), (("user", prompt),)) for number, prompt in enumerate(rows)]


def grade(bench: Benchmark, item: Item, row: AnswerRow) -> Grade:
    """Return IFEval's four numbers: all formats, or each of them, followed strictly or after changes of the answer."""
    del bench
    formats, said = formats_of(item.messages[-1][1]), row.response.strip()
    strict = [one.holds(said) for one in formats]
    loose = [any(one.holds(text) for text in _loosened(said)) for one in formats]
    measures = {"Pr(S)": (float(all(strict)), 1.0), "In(S)": (sum(strict) / len(strict), float(len(strict)))}
    measures |= {"Pr(L)": (float(all(loose)), 1.0), "In(L)": (sum(loose) / len(loose), float(len(loose)))}
    return Grade(all(strict), measures)


def _loosened(text: str) -> set[str]:
    """Return the answer without its first line, its last line, both, or asterisks, as IFEval does."""
    lines = text.split("\n")
    shorter = {text, *("\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1]))}
    return {each for one in shorter for each in (one, one.replace("*", "").strip()) if each}


FORMATS = GradedBenchmark(
    "formats", BenchmarkKind(max_tokens=48), items, grade, scoring=Scoring(("Pr(S)", "In(S)", "Pr(L)", "In(L)"))
)
