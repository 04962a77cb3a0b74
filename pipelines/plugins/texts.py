"""Prompts and parsers of replies, which a plug-in adds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from pipelines.errors import nearest
from pipelines.study.plugins.addition import Entry, NamedAddition, check_function
from pipelines.study.plugins.code import PluginMistake
from prompts.catalog import Prompt, PromptError, catalog, parse_template
from prompts.parse import PARSERS, Reply


@dataclass(frozen=True)
class PromptText(NamedAddition):
    """A prompt: `text` begins with the names of its `variables` and of its `parser`, as the files of evolgrid's do."""

    what: ClassVar[str] = "prompt"

    text: str

    @property
    def prompt(self) -> Prompt:
        """The parsed prompt."""
        try:
            return parse_template(self.name, self.text)
        except PromptError as error:
            raise PluginMistake(str(error)) from None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.prompt  # noqa: B018 raises for a malformed text

    def entries(self) -> Iterator[Entry]:
        yield Entry(catalog(), self.name, self.prompt)

    def problem(self) -> str | None:
        parser = self.prompt.parser
        if parser in PARSERS:
            return None
        return f"the prompt '{self.name}' names the unknown parser '{parser}'. {nearest(parser, [*PARSERS])}"


@dataclass(frozen=True)
class Parser(NamedAddition):
    """A parser of replies: `read` returns the `Reply` that it reads from a model's reply, without its thoughts."""

    what: ClassVar[str] = "parser"

    read: Callable[[str], Reply]

    def __post_init__(self) -> None:
        super().__post_init__()
        check_function(self.read, "'read' of a parser", "reply")

    def entries(self) -> Iterator[Entry]:
        yield Entry(PARSERS, self.name, self.read)
