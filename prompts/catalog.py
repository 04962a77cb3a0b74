"""The catalogue of prompts: every file in `templates/`, read once and checked."""

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
    """One template with the variables that it takes and the parser of its reply.

    `digest` is the sha256 of the template file, so that any change of wording changes what depends on it.
    """

    name: str
    text: str
    variables: tuple[str, ...]
    parser: str
    digest: str

    def render(self, **values: str) -> str:
        """The prompt with every variable replaced by its value.

        Values are inserted in a single pass and never read as template text. A missing or an unknown variable
        raises PromptError.
        """
        self._check(values)
        return _substitute(self.text, values)

    def turns(self, **values: str) -> tuple[tuple[str, str], ...]:
        """The prompt as (role, text) turns: lines `[system]`, `[user]` and `[assistant]` of the template begin them.

        A template without such lines is one turn of the user. Values are inserted as in `render`.
        """
        self._check(values)
        before, *parts = _ROLE.split(self.text)
        found = [("user", before), *zip(parts[::2], parts[1::2], strict=True)]
        return tuple((role, _substitute(text.strip(), values)) for role, text in found if text.strip())

    def _check(self, values: dict[str, str]) -> None:
        missing = [name for name in self.variables if name not in values]
        unknown = [name for name in values if name not in self.variables]
        if missing or unknown:
            raise PromptError(
                f"prompt {self.name!r} takes {list(self.variables)}: missing {missing}, unknown {unknown}"
            )


def _substitute(text: str, values: dict[str, str]) -> str:
    """All places in one pass: a value is never read as a template."""
    return _PLACEHOLDER.sub(lambda match: values[match[1]], text)


def parse_template(name: str, content: str) -> Prompt:
    """The prompt in a template file's content; PromptError where front matter and text do not agree."""
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
def _catalog() -> dict[str, Prompt]:
    folder = resources.files("prompts") / "templates"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".md")), key=lambda file: file.name)
    stems = [(file.name.removesuffix(".md"), file.read_bytes().decode()) for file in files]
    return {name: parse_template(name, content) for name, content in stems}


def names() -> tuple[str, ...]:
    """The names of all prompts, sorted."""
    return tuple(_catalog())


def get(name: str) -> Prompt:
    """The prompt called `name`; PromptError naming the nearest one if there is none."""
    found = _catalog().get(name)
    if found is None:
        near = difflib.get_close_matches(name, names(), n=1, cutoff=0.0)
        raise PromptError(f"no prompt {name!r}; did you mean {near[0]!r}?" if near else f"no prompt {name!r}")
    return found
