"""Plain English: phrases that must not appear in Markdown, YAML comments, docstrings, comments and messages.

CONTRIBUTING.md explains the ten rules. Every Markdown, YAML and Python file is checked, except those in `EXEMPT`.
"""

from __future__ import annotations

import ast
import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Folders whose string literals are messages to users; elsewhere they are data, and only docstrings and comments count.
MESSAGE_FOLDERS = ("actors", "cluster", "pipelines")
EXEMPT = (
    "actors/engines/scripted_replies.py",  # the engine's replies are data: rows and keys depend on each letter
    "prompts/templates/",  # the wording of a prompt is part of the keys of steps
    "prompts/refusals.py",  # its list of openings of refusals is data
    "tests/test_prose.py",  # quotes the phrases
)


@dataclass(frozen=True, slots=True)
class Phrase:
    """A phrase to avoid, the number of its rule in CONTRIBUTING.md, and what to write instead."""

    pattern: str
    rule: int
    instead: str


PHRASES = (
    Phrase(r"any more", 1, "no longer; or say what happens"),
    Phrase(r"no more(?! than)", 1, "no longer; or say what happens"),
    Phrase(r"(?:is|are) gone", 1, "has exited, is missing, was removed"),
    Phrase(r"so (?:many|much|long)", 2, "the name of the parameter or the number"),
    Phrase(r"as (?:many|much) as", 2, "the number: up to, equal to"),
    Phrase(r"(?:is|are|was|were|be) told", 3, "who reports what to whom; receives"),
    Phrase(r"gets this", 3, "who returns or raises it"),
    Phrase(r"foretold", 5, "estimated"),
    Phrase(r"berths?", 5, "reservation, placement group"),
    Phrase(r"signs? of life|that it lives", 5, "heartbeat"),
    Phrase(r"by halves", 5, "by bisection"),
    Phrase(r"(?:give[ns]?|gave|giving) up", 5, "abandon, fail permanently, release"),
    Phrase(r"about to go", 5, "being preempted, being drained"),
    Phrase(r"examiners?", 5, "evaluator"),
    Phrase(r"walkers?", 5, "stream worker"),
    Phrase(r"(?:guilty|culprits?)", 6, "the request that crashes the engine; the cause"),
    Phrase(r"refuses? nothing", 6, "what it rejects"),
    Phrase(r"at its place", 6, "in its position; instead of it"),
    Phrase(r"(?:die|dies|died|deaths?)", 7, "crash, exit"),
    Phrase(r"(?:lives|live) (?:on|no)", 7, "is still running, has exited"),
    Phrase(r"whoever|who (?:asks|waits)", 7, "the caller, the client, the process"),
    Phrase(r"(?:go|goes) on", 8, "continue, keep running"),
    Phrase(r"can not", 8, "cannot"),
    Phrase(r"spoilt", 8, "corrupt"),
    Phrase(r"mend(?:s|ed)?", 8, "fix, repair"),
    Phrase(r"be had", 8, "is available, can be downloaded"),
    Phrase(r"ha(?:s|ve) ended", 8, "has finished, has stopped"),
    Phrase(r"made again", 8, "recomputed"),
    Phrase(r"anew", 8, "again"),
    Phrase(r"comes? of", 8, "result, derived from"),
    Phrase(r"in words", 8, "as text, described"),
    Phrase(r"(?<!there )is no(?! longer)", 9, "is not a …, with the value"),
)
_PATTERNS = {re.compile(rf"(?<![\w-])(?:{phrase.pattern})(?![\w-])", re.IGNORECASE): phrase for phrase in PHRASES}


@dataclass(frozen=True, slots=True)
class Prose:
    """A piece of prose and the line of its file on which it starts. Every newline in `text` is one in the file."""

    line: int
    text: str


def findings(pieces: Iterator[Prose]) -> Iterator[str]:
    """Every phrase to avoid, as `LINE: what was found (rule N: what to write instead)`."""
    for piece in pieces:
        text = re.sub(r"[ \t]+", " ", re.sub(r"[ \t]*\n[ \t]*", "\n", piece.text))
        for pattern, phrase in _PATTERNS.items():
            for match in pattern.finditer(text.replace("\n", " ")):
                line = piece.line + text.count("\n", 0, match.start())
                yield f"{line}: {match.group()!r} (rule {phrase.rule}: {phrase.instead})"


def in_markdown(text: str) -> Iterator[Prose]:
    """Paragraphs, without fenced code and without inline code."""
    outside = re.sub(
        r"^```.*?^```", lambda block: "\n" * block.group().count("\n"), text, flags=re.DOTALL | re.MULTILINE
    )
    line = 1
    for paragraph in re.split(r"(\n\s*\n)", outside):
        yield Prose(line, re.sub(r"`[^`]*`", lambda code: re.sub(r"[^\n]", "_", code.group()), paragraph))
        line += paragraph.count("\n")


def in_yaml(text: str) -> Iterator[Prose]:
    """Comments; those on consecutive lines are one piece."""
    comments = ((n, line.partition("# ")[2]) for n, line in enumerate(text.splitlines(), 1) if "# " in line)
    return _joined(comments)


def in_python(text: str, messages: bool) -> Iterator[Prose]:
    """Comments, docstrings and, with `messages`, all other string literals of more than one word."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    yield from _joined((token.start[0], token.string.lstrip("#")) for token in tokens if token.type == tokenize.COMMENT)
    tree = ast.parse(text)
    docstrings = {id(node) for node in map(_docstring, ast.walk(tree)) if node}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and (messages or id(node) in docstrings):
            yield Prose(node.lineno, node.value)


def _docstring(node: ast.AST) -> ast.expr | None:
    body = getattr(node, "body", None)
    first = body[0] if isinstance(body, list) and body else None
    return first.value if isinstance(first, ast.Expr) else None


def _joined(lines: Iterator[tuple[int, str]]) -> Iterator[Prose]:
    start, texts = 0, list[str]()
    for number, text in lines:
        if texts and number != start + len(texts):
            yield Prose(start, "\n".join(texts))
            texts = []
        start = start if texts else number
        texts.append(text)
    if texts:
        yield Prose(start, "\n".join(texts))


@cache
def _files() -> tuple[str, ...]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return tuple(name for name in listed if (ROOT / name).is_file() and not name.startswith(EXEMPT))


def _found_in(name: str) -> list[str]:
    text = (ROOT / name).read_text()
    if name.endswith(".md"):
        return list(findings(in_markdown(text)))
    if name.endswith(".yaml"):
        return list(findings(in_yaml(text)))
    return list(findings(in_python(text, name.startswith(MESSAGE_FOLDERS))))


@pytest.mark.parametrize("suffix", [".md", ".yaml"])
def test_documents_are_in_plain_english(suffix: str) -> None:
    assert not {name: found for name in _files() if name.endswith(suffix) and (found := _found_in(name))}


def test_code_is_in_plain_english() -> None:
    assert not {name: found for name in _files() if name.endswith(".py") and (found := _found_in(name))}


def test_phrases_are_found_in_docstrings_comments_and_messages() -> None:
    code = '"""This can\n    not be."""\nspoilt = 1  # it\n# goes\n# on\nprint("no more", "no more than 3")\n'
    found = {text.partition(" (")[0] for text in findings(in_python(code, messages=True))}
    assert found == {"1: 'can not'", "4: 'goes on'", "6: 'no more'"}
    assert len([*findings(in_python(code, messages=False))]) == 2


def test_phrases_are_found_in_documents_but_not_in_their_code() -> None:
    document = "Fine.\n\n```\nspoilt\n```\n\nA `spoilt` file\nis spoilt; there is no\nother, it is no longer used.\n"
    assert [*findings(in_markdown(document))] == ["8: 'spoilt' (rule 8: corrupt)"]
    comments = "whoever: 1 # fine\nother: '#x' # it is\n# told\n"
    assert [text.partition(" (")[0] for text in findings(in_yaml(comments))] == ["2: 'is told'"]
