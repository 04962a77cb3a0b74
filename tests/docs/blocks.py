"""The commands in the documentation: every line of a block of `bash` or `console`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
_BLOCK = re.compile(
    r"(?:^<!-- not run: (?P<reason>[^\n]+) -->\n\n?)?^```(?P<language>bash|console|sh|shell)\n(?P<body>.*?)^```",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Command:
    """A line of a block: where it is, its text without a comment, and why the block's commands are not run, if so."""

    place: str
    text: str
    reason: str | None

    @property
    def words(self) -> list[str]:
        """Its words as the shell splits them, without assignments before it and without what follows a pipe."""
        words = shlex.split(re.split(r"\s(?:>|\||&&|2>)\s?", self.text)[0])
        while words and re.match(r"[A-Z_]+=", words[0]):
            words.pop(0)
        return words


def commands() -> Iterator[Command]:
    """All commands of README.md and the pages in `docs`. Lines that end with a backslash are joined."""
    for page in PAGES:
        text = page.read_text()
        for block in _BLOCK.finditer(text):
            first = text[: block.start("body")].count("\n") + 1
            for number, line in _lines(block["body"]):
                place = f"{page.relative_to(ROOT)}:{first + number}"
                yield Command(place, line, block["reason"])


def _lines(body: str) -> Iterator[tuple[int, str]]:
    joined = re.sub(r"\\\n\s*", lambda found: " " + "\0" * found[0].count("\n"), body)
    number = 0
    for line in joined.split("\n"):
        text = re.split(r"(?:^|\s{2,}|\s)#\s", line.replace("\0", ""))[0].strip()
        if text:
            yield number, text.removeprefix("$ ")
        number += 1 + line.count("\0")
