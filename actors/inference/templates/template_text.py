"""Chat templates as text: arguments and a fixed date written into them, their syntax, and where a folder has them.

A template with its arguments in its text gives the same prompts wherever it is rendered: on every engine, in training,
and wherever a student is used later. Neither torch nor transformers is imported.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

Argument = str | int | float | bool
DEFAULT_DATE = "2024-07-26"  # the date in the templates of Llama 3
DATE = "date"  # the argument that replaces it
_DIRECTIVES = ("-d", "-m", "-H", "-I", "-M", "-S", "-j", "-y", *"aAbBcdeDFgGhHIjmMnpStTuUVwWxXyYzZ")
_DATE_MACRO = "{% macro strftime_now(format) %}"
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_RESERVED = ("messages", "tools", "documents", "add_generation_prompt", "bos_token", "eos_token", "strftime_now")


def with_arguments(template: str, arguments: Mapping[str, Argument]) -> str:
    """Return the template with these arguments set, and with a fixed date in place of the current one.

    The date is the argument `date` (YYYY-MM-DD), or else `DEFAULT_DATE`. `strftime_now` gives this date, and the
    argument `date_string` is derived from `date`, unless it is given itself.
    """
    found = dict(arguments)
    day = datetime.fromisoformat(str(found.get(DATE, DEFAULT_DATE)))
    if DATE in found:
        found.setdefault("date_string", f"{day:%d %b %Y}")
    lines = [f"{{% set {name} = {_literal(value)} %}}\n" for name, value in sorted(found.items()) if name in template]
    if "strftime_now" in template and _DATE_MACRO not in template:
        steps = "".join(f".replace('%{one}', {_literal(day.strftime(f'%{one}'))})" for one in _DIRECTIVES)
        lines.append(f"{_DATE_MACRO}{{{{ format{steps} }}}}{{% endmacro %}}\n")
    return "".join(lines) + template  # the newline after a block is not rendered


def with_suffix(template: str, suffix: str) -> str:
    """Return the template with a text after its generation prompt."""
    return template.removesuffix("\n") + f"{{% if add_generation_prompt %}}{{{{ {_literal(suffix)} }}}}{{% endif %}}"


def syntax_error(template: str) -> tuple[int, str] | None:
    """Return the line and the message of the first syntax error of a template, or None."""
    from jinja2 import TemplateSyntaxError

    try:
        _environment().parse(template)
    except TemplateSyntaxError as error:
        return error.lineno, error.message or "syntax error"
    return None


def mentions(template: str, name: str) -> bool:
    """Return whether a template has this word, so that an argument of this name can change a prompt."""
    return re.search(rf"\b{re.escape(name)}\b", template) is not None


def takes_system(template: str) -> bool:
    """Return whether a template renders a system turn before a user's."""
    return _renders(template, "system", "user")


def takes_user(template: str) -> bool:
    """Return whether a template renders a user's turn."""
    return _renders(template, "user")


def argument_error(name: str, value: Argument) -> str | None:
    """Return what is wrong with an argument of a template, or None."""
    if not _NAME.fullmatch(name):
        return f"'{name}' cannot be the name of a template's argument"
    if name in _RESERVED:
        return f"'{name}' is set by evolgrid itself"
    if name == DATE:
        try:
            datetime.strptime(str(value), "%Y-%m-%d")
        except ValueError:
            return f"'{value}' is not a date like {DEFAULT_DATE}"
    return None


def folder_template(folder: Path) -> str | None:
    """Return the chat template in a model's folder, or None if it has none or an empty one.

    Raises:
        ValueError: A file that should have it is corrupt.
    """
    if (file := folder / "chat_template.jinja").is_file():
        return single_template(file.read_text(encoding="utf-8"))
    for name in ("tokenizer_config.json", "chat_template.json"):
        file = folder / name
        content = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        if isinstance(content, dict) and (found := single_template(content.get("chat_template"))):  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
            return found
    return None


def single_template(found: Any) -> str | None:
    """Return the template itself, or the one named `default` of several, by name or as a list of names and templates.

    None if there is no such template, or an empty one. The others are for other purposes, such as calls of tools.
    """
    if isinstance(found, Sequence) and not isinstance(found, str):
        found = {str(one["name"]): one["template"] for one in found}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(found, Mapping):
        found = found.get("default")  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    return found if isinstance(found, str) and found.strip() else None


def _renders(template: str, *roles: str) -> bool:
    """Return whether a template renders a conversation of these roles whole, given as texts or as parts."""
    from jinja2 import TemplateError

    slots = [f"evolgrid-{role}" for role in roles]
    contents: list[list[Any]] = [[*slots], [[{"type": "text", "text": slot}] for slot in slots]]
    for content in contents:
        conversation = [{"role": role, "content": one} for role, one in zip(roles, content, strict=True)]
        names = dict.fromkeys(("bos_token", "eos_token", "pad_token", "unk_token"), "")
        given = {"messages": conversation, "add_generation_prompt": True, "tools": None, "documents": None}
        try:
            rendered: str = _environment().from_string(template).render(**given, **names)
        except (TemplateError, TypeError, ValueError, KeyError, AttributeError):
            continue
        if all(slot in rendered for slot in slots):
            return True
    return False


def _literal(value: Argument) -> str:
    """Return a value as Jinja writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return repr(value)
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\t", "\\t")
    return f"'{escaped}'"


@lru_cache(maxsize=1)
def _environment() -> Any:
    """Return an environment with the extensions that transformers gives to chat templates."""
    from jinja2 import TemplateError, nodes
    from jinja2.ext import Extension
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """The block {% generation %}, which renders its content."""

        tags = {"generation"}  # noqa: RUF012

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.Scope(body, lineno=line)

    def raise_exception(message: str) -> None:
        raise TemplateError(message)

    environment: Any = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = lambda value, **_: json.dumps(value)
    environment.globals |= {"raise_exception": raise_exception, "strftime_now": lambda format: format}
    return environment
