"""Renders a preview as an HTML page that needs no other file."""

from __future__ import annotations

import jinja2

from pipelines.api.views.preview.content import facts_of, seed_views
from pipelines.execution.previewing.model import Preview


def render_page(preview: Preview) -> str:
    """Return the page."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pipelines.api.views.preview"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("preview.html.jinja")
    return template.render(preview=preview, seeds=seed_views(preview), facts=facts_of(preview))
