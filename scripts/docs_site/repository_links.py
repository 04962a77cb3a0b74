"""Maps links between files of the repository to links between pages of the site.

On the site, `docs/engines.md` is `engines.md`. Any other file of the repository is in `repository/`: Markdown files as
pages, all others as texts.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
REPOSITORY = "repository"
_FENCE = re.compile(r"^( *)(```+|~~~+).*?^\1\2[ ]*$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(([^)\s]+)\)")


def repository_path(uri: str) -> str:
    """Return the path in the repository of a file of the site."""
    inner = uri.removeprefix(f"{REPOSITORY}/")
    return inner if inner != uri else f"docs/{uri}"


def asset_uri(path: str) -> str:
    """Return where a file of the repository that is not a page is on the site. MkDocs leaves out names with a dot."""
    folder, _, name = path.rpartition("/")
    return "/".join(filter(None, (REPOSITORY, folder, f"{name.removeprefix('.')}.txt")))


def linked_files(pages: Mapping[str, str]) -> set[str]:
    """Return the files outside `docs` to which pages link. Pages are texts by path in the repository."""
    found = {
        target
        for path, text in pages.items()
        for link in _links(text)
        if (target := _target(path, link[3])) and not target.startswith("docs/") and (ROOT / target).is_file()
    }
    return {name for name in found if not name.endswith(".md") or name not in pages}


def site_markdown(text: str, uri: str, files: Collection[str]) -> str:
    """Return a page's text with the links of the site. A link to a folder becomes its text."""

    def moved(link: re.Match[str]) -> str:
        target = _target(repository_path(uri), link[3])
        if target is None:
            return link[0]
        if (ROOT / target).is_dir():
            return link[2]
        anchor = link[3].partition("#")[1] + link[3].partition("#")[2]
        inside = target.removeprefix("docs/") if target.startswith("docs/") else f"{REPOSITORY}/{target}"
        if inside not in files and (asset := asset_uri(target)) in files:
            inside, anchor = asset, ""
        relative = posixpath.relpath(inside, posixpath.dirname(uri) or ".")
        return f"{link[1]}[{link[2]}]({relative}{anchor})"

    return _outside_code(text, lambda part: _LINK.sub(moved, part))


def _links(text: str) -> Iterator[re.Match[str]]:
    yield from _LINK.finditer(_FENCE.sub("", text))


def _target(path: str, link: str) -> str | None:
    """Return the path in the repository to which a link on a page leads; None for one to elsewhere, or on the page."""
    file = link.partition("#")[0]
    if not file or re.match(r"[a-z][a-z0-9+.-]*:", file):
        return None
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), file))


def _outside_code(text: str, change: Callable[[str], str]) -> str:
    """Return a text whose parts outside fenced blocks are changed."""
    parts, end = list[str](), 0
    for block in _FENCE.finditer(text):
        parts += [change(text[end : block.start()]), block[0]]
        end = block.end()
    return "".join([*parts, change(text[end:])])
