"""Hooks of MkDocs: generated pages, and links to files of the repository that are not in `docs`."""

from __future__ import annotations

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from scripts.docs_site.command_pages import command_reference
from scripts.docs_site.python_pages import python_reference
from scripts.docs_site.repository_links import REPOSITORY, asset_uri, linked_files, repository_path, site_markdown
from scripts.docs_site.study_keys import study_reference

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "bundled/README.md")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages, pages of the repository, and the files that any page links to."""
    generated = {
        "reference/study.md": study_reference(),
        "reference/commands.md": command_reference(),
        "reference/python.md": python_reference(),
    }
    for name, content in generated.items():
        files.append(File.generated(config, name, content=content))
    for name in PAGES:
        files.append(File.generated(config, f"{REPOSITORY}/{name}", content=(ROOT / name).read_text(encoding="utf-8")))
    pages = {repository_path(file.src_uri): file.content_string for file in files.documentation_pages()}
    for name in sorted(linked_files(pages) - {*pages}):
        content = (ROOT / name).read_bytes()
        files.append(File.generated(config, asset_uri(name), content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Return a page's text with links that are right on the site."""
    return site_markdown(markdown, page.file.src_uri, {file.src_uri for file in files})
