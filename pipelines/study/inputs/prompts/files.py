"""Reads the prompts that a study replaces, from files, and checks them against the prompts that they replace."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import prompts
from pipelines.errors import InputError, nearest
from prompts import Catalog, Prompt
from prompts.catalog import has_roles, placeholders, split_front_matter
from prompts.parse import PARSERS, same_kind

BARE = "bare"  # the instruction itself, with its input after a newline
_WITH_ROLES = ("judge_", "bench_")  # their templates may have several turns
_FIXED_PARSER = ("autoif_", "bench_", "evol_auto")  # replies are read by the step or the benchmark itself


def read_catalog(given: Mapping[str, str], folder: Path) -> Catalog:
    """Return the prompts of a study. `given` are files by the names of prompts; `folder` is the study file's.

    Rows with an input are asked with the study's `answer`, unless it replaces `answer_with_input`, too.

    Raises:
        InputError: A file cannot be read or does not fit the prompt that it replaces.
    """
    replaced = {name: read_prompt(name, source, folder) for name, source in given.items()}
    if "answer" in replaced:
        replaced = {"answer_with_input": _with_input(replaced["answer"])} | replaced
    return Catalog(tuple(replaced.values()))


def read_prompt(name: str, source: str, folder: Path) -> Prompt:
    """Return the prompt that replaces the one called `name`. `source` is its file, or BARE for `answer`.

    Raises:
        InputError: There is no such prompt, or the file cannot be read or does not fit.
    """
    if name not in prompts.names():
        raise InputError(f"no prompt is named '{name}'", remedy=nearest(name, [*prompts.names()]))
    if source == BARE and name == "answer":
        return _prompt(prompts.get(name), "{instruction}", "answer", "{instruction}")
    path = folder / source
    content = _read_text(path)
    text, parser = _parts(name, content, path)
    _check_placeholders(name, content, text, path)
    return _prompt(prompts.get(name), text.strip(), parser, content)


def _prompt(original: Prompt, text: str, parser: str, content: str) -> Prompt:
    return Prompt(original.name, text, original.variables, parser, hashlib.sha256(content.encode()).hexdigest())


def _with_input(answer: Prompt) -> Prompt:
    text = answer.text.replace("{instruction}", "{instruction}\n{input}")
    return _prompt(prompts.get("answer_with_input"), text, answer.parser, text)


def _read_text(path: Path) -> str:
    try:
        text = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except FileNotFoundError:
        raise InputError("no such file", file=str(path), remedy="Write the prompt into this file.") from None
    except UnicodeDecodeError as error:
        raise InputError(f"not UTF-8: {error.reason}", file=str(path), remedy="Save the file as UTF-8.") from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=str(path)) from None
    if not text.strip():
        raise InputError("the file is empty", file=str(path), remedy="Write the prompt into this file.")
    return text


def _parts(name: str, content: str, path: Path) -> tuple[str, str]:
    """Return the text of a file and the name of its parser: that of the replaced prompt, or of its front matter."""
    original, parts = prompts.get(name), split_front_matter(content)
    if parts is None:
        return content, original.parser
    head, text = parts
    entries = {key: (value, line) for key, value, line in _entries(head, path)}
    parser, line = entries.get("parser", (original.parser, 1))
    if parser not in PARSERS and parser != original.parser:
        raise _error(path, line, f"unknown parser '{parser}'", nearest(parser, [*PARSERS]))
    if parser != original.parser and name.startswith(_FIXED_PARSER):
        message = f"replies to '{name}' are always read by '{original.parser}'"
        raise _error(path, line, message, f"Write 'parser: {original.parser}', or leave it out.")
    if not same_kind(parser, original.parser):
        message = f"'{name}' needs the values of the parser '{original.parser}', and '{parser}' returns others"
        raise _error(path, line, message, f"Write 'parser: {original.parser}', leave it out, or name a plug-in's.")
    declared, line = entries.get("variables", (", ".join(original.variables), 1))
    for variable in filter(None, map(str.strip, declared.split(","))):
        if variable not in original.variables:
            raise _unknown_placeholder(path, line, name, variable)
    return text, parser


def _entries(head: str, path: Path) -> Iterator[tuple[str, str, int]]:
    """Yield the keys and values of front matter with their lines, which are counted from 1."""
    for line, text in enumerate(head.splitlines(), start=2):
        key, colon, value = text.partition(":")
        if not colon or key.strip() not in ("variables", "parser"):
            remedy = "Front matter has lines 'variables: NAME, ...' and 'parser: NAME', and nothing else."
            raise _error(path, line, f"'{text.strip()}' is neither 'variables' nor 'parser'", remedy)
        yield key.strip(), value.strip(), line


def _check_placeholders(name: str, content: str, text: str, path: Path) -> None:
    original, start = prompts.get(name), content.count("\n", 0, len(content) - len(text)) + 1
    for line, words in enumerate(text.split("\n"), start=start):
        for unknown in (found for found in placeholders(words) if found not in original.variables):
            raise _unknown_placeholder(path, line, name, unknown)
        if has_roles(f"{words}\n") and not name.startswith(_WITH_ROLES):
            message = f"'{words}' begins a turn, and '{name}' is the text of a single one"
            raise _error(path, line, message, "Give a system prompt with 'system' of the step's block.")
    used = placeholders(text)
    for missing in (variable for variable in original.variables if variable not in used):
        message = f"the placeholder '{{{missing}}}' of the prompt '{name}' is missing"
        raise _error(path, start, message, f"Write '{{{missing}}}' where its text is to be.")


def _unknown_placeholder(path: Path, line: int, name: str, unknown: str) -> InputError:
    remedy = nearest(unknown, [*prompts.get(name).variables])
    return _error(path, line, f"the prompt '{name}' has no placeholder '{{{unknown}}}'", remedy)


def _error(path: Path, line: int, message: str, remedy: str | None) -> InputError:
    return InputError(message, file=str(path), line=line, remedy=remedy)
