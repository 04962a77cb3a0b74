"""Finds secrets in what is about to be published: values that the study reads from elsewhere, and forms of keys."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from actors.engines.http.secrets import Secret
from pipelines.errors import InputError
from pipelines.study.spec.study import Study

_KEY_FORMS = {
    "a Hugging Face token": r"\bhf_[A-Za-z0-9]{30,}",
    "an API key": r"\bsk-(?:ant-|proj-|or-)?[A-Za-z0-9_-]{20,}",
    "an AWS key": r"\bA(?:KIA|SIA)[0-9A-Z]{16}\b",
    "a GitHub token": r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_\w{40,})",
    "a Google API key": r"\bAIza[0-9A-Za-z_-]{35}\b",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "a bearer token": r"(?i)\bbearer\s+[A-Za-z0-9._~+/-]{20,}",
    "a password in an address": r"\b[a-z][a-z0-9+.-]*://[^\s/:@'\"]+:[^\s/@'\"]+@",
}
_FORMS = {name: re.compile(form) for name, form in _KEY_FORMS.items()}
_MIN_LENGTH = 8  # shorter values are in ordinary texts by chance
_TEXTS = {".md", ".yaml", ".json", ".csv", ".html", ".jinja", ".txt"}
_TOKEN_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "OPENAI_API_KEY", "ANTHROPIC_API_KEY")


@dataclass(frozen=True)
class SecretFinder:
    """Looks for secrets in files. `values` are known ones, each with a description of where it is kept."""

    values: Mapping[str, str]

    @classmethod
    def of_study(cls, study: Study) -> SecretFinder:
        """Return a finder that knows the secrets that a study's models name, and the tokens of the environment."""
        found = {value: f"the value of {name}" for name in _TOKEN_VARIABLES if (value := os.environ.get(name, ""))}
        for model in study.models.values():
            for secret in _secrets(model.options | model.runtime):
                try:
                    found[secret.read()] = f"the value of {secret.location}"
                except ValueError:  # it is not on this machine
                    continue
        return cls({value: name for value, name in found.items() if len(value) >= _MIN_LENGTH})

    def check(self, folder: Path, name: str) -> None:
        """Check all files of a repository: texts for known secrets and forms of keys, rows for known secrets.

        Raises:
            InputError: There is one. The message names its file and line, and never quotes it.
        """
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            for line, what in self._found(path):
                raise InputError(
                    f"contains {what}: nothing was pushed",
                    file=f"{name}/{path.relative_to(folder).as_posix()}",
                    line=line,
                    remedy="Remove it from the study or its rows; a model's key belongs into a file or a variable.",
                )

    def _found(self, path: Path) -> Iterator[tuple[int | None, str]]:
        if path.suffix in _TEXTS:
            for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
                yield from ((number, name) for name, form in _FORMS.items() if form.search(line))
                yield from ((number, name) for value, name in self.values.items() if value in line)
        elif self.values and path.suffix in (".parquet", ".jsonl"):
            for number, text in enumerate(_rows(path), 1):
                yield from ((number, name) for value, name in self.values.items() if value in text)


def _rows(path: Path) -> Iterator[str]:
    if path.suffix == ".jsonl":
        with path.open(encoding="utf-8") as lines:
            yield from lines
        return
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(1024):
            yield from (json.dumps(row, ensure_ascii=False) for row in batch.to_pylist())


def _secrets(options: Mapping[str, Any]) -> Iterator[Secret]:
    """Yield the secrets that a model's options name: its key, and values of headers and of the query."""
    yield Secret(file=str(options.get("key_file") or ""), option="key_file")
    yield Secret(env=str(options.get("key_env") or ""), option="key_env")
    for option in ("headers", "query"):
        given = options.get(option)
        for value in given.values() if isinstance(given, Mapping) else ():  # pyright: ignore[reportUnknownVariableType]
            if isinstance(value, Mapping):
                where: Mapping[str, Any] = value  # pyright: ignore[reportUnknownVariableType]
                yield Secret(str(where.get("file") or ""), str(where.get("env") or ""), option)
