"""The catalog of prompts: reads and validates every file in `templates/` once."""

import difflib
import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_ROLE = re.compile(r"^\[(system|user|assistant)\]\n", re.MULTILINE)
_FRONT_MATTER = re.compile(r"\A---\n(?P<head>.*?)\n---\n(?P<text>.*)\Z", re.DOTALL)


class PromptError(ValueError):
    """A template is malformed, unknown, or rendered with the wrong variables."""


@dataclass(frozen=True)
class Prompt:
    """A template with its variables and the name of its reply's parser.

    `digest` is the SHA-256 of the template file. It enters step keys, so any change of wording invalidates the steps
    that use the prompt.
    """

    name: str
    text: str
    variables: tuple[str, ...]
    parser: str
    digest: str

    def render(self, **values: str) -> str:
        """Return the prompt with every variable replaced by its value.

        Values are inserted in a single pass and never interpreted as template text.

        Raises:
            PromptError: A variable is missing or unknown.
        """
        self._check(values)
        return _substitute(self.text, values)

    def turns(self, **values: str) -> tuple[tuple[str, str], ...]:
        """Return the prompt as (role, text) turns, which start at lines `[system]`, `[user]` or `[assistant]`.

        A template without such lines is a single user turn. Values are inserted as in `render`.
        """
        self._check(values)
        before, *parts = _ROLE.split(self.text)
        found = [("user", before), *zip(parts[::2], parts[1::2], strict=True)]
        return tuple((role, _substitute(text.strip(), values)) for role, text in found if text.strip())

    def _check(self, values: dict[str, str]) -> None:
        if values.keys() == {*self.variables}:
            return
        missing = [name for name in self.variables if name not in values]
        unknown = [name for name in values if name not in self.variables]
        raise PromptError(f"prompt {self.name!r} takes {list(self.variables)}: missing {missing}, unknown {unknown}")


def _substitute(text: str, values: dict[str, str]) -> str:
    """Replace all placeholders in one pass, so that a value is never interpreted as template text."""
    return _PLACEHOLDER.sub(lambda match: values[match[1]], text)


def placeholders(text: str) -> tuple[str, ...]:
    """Return the names of the variables in a template's text, in order, each once."""
    return tuple(dict.fromkeys(_PLACEHOLDER.findall(text)))


def has_roles(text: str) -> bool:
    """Return whether a template's text has lines that begin a turn of a role."""
    return bool(_ROLE.search(text))


def split_front_matter(content: str) -> tuple[str, str] | None:
    """Return the lines between the first two '---' lines of a file and the text after them; None if it has none."""
    match = _FRONT_MATTER.match(content)
    return (match["head"], match["text"]) if match else None


def parse_template(name: str, content: str) -> Prompt:
    """Parse the content of a template file.

    Raises:
        PromptError: The front matter is malformed or does not match the text.
    """
    match = _FRONT_MATTER.match(content)
    if match is None:
        raise PromptError(f"prompt {name!r}: the file must start with front matter between two '---' lines")
    head = dict(_front_matter_entry(name, line) for line in match["head"].splitlines())
    if set(head) != {"variables", "parser"}:
        raise PromptError(f"prompt {name!r}: front matter must give 'variables' and 'parser', not {sorted(head)}")
    variables = tuple(part.strip() for part in head["variables"].split(",") if part.strip())
    used = set(_PLACEHOLDER.findall(match["text"]))
    if used != set(variables):
        raise PromptError(f"prompt {name!r}: declares {sorted(variables)} but uses {sorted(used)}")
    digest = hashlib.sha256(content.encode()).hexdigest()
    return Prompt(name, match["text"].strip(), variables, head["parser"], digest)


def _front_matter_entry(name: str, line: str) -> tuple[str, str]:
    key, colon, value = line.partition(":")
    if not colon:
        raise PromptError(f"prompt {name!r}: front matter line {line!r} is not 'key: value'")
    return key.strip(), value.strip()


@cache
def catalog() -> dict[str, Prompt]:
    """Return the table of all prompts by name: those of `templates/`, and those that plug-ins add."""
    folder = resources.files("prompts") / "templates"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".md")), key=lambda file: file.name)
    stems = [(file.name.removesuffix(".md"), file.read_bytes().decode()) for file in files]
    return {name: parse_template(name, content) for name, content in stems}


@dataclass(frozen=True)
class Catalog:
    """The prompts of a study: those that it replaces, and all others as they are."""

    replaced: tuple[Prompt, ...] = ()

    def get(self, name: str) -> Prompt:
        """Return the prompt called `name`.

        Raises:
            PromptError: There is no such prompt.
        """
        return next((prompt for prompt in self.replaced if prompt.name == name), None) or get(name)


STANDARD_CATALOG = Catalog()


def names() -> tuple[str, ...]:
    """Return the names of all prompts, sorted."""
    return tuple(catalog())


def get(name: str) -> Prompt:
    """Return the prompt called `name`.

    Raises:
        PromptError: There is no such prompt. The message names the most similar one.
    """
    found = catalog().get(name)
    if found is None:
        near = difflib.get_close_matches(name, names(), n=1, cutoff=0.0)
        raise PromptError(f"unknown prompt {name!r}; did you mean {near[0]!r}?" if near else f"unknown prompt {name!r}")
    return found
