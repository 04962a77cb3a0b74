"""Renders the cards of exports: README.md files with the header that `datasets` and the hub read."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined

from pipelines.study.spec.study import Study

if TYPE_CHECKING:
    from pipelines.results.export.files import Exported, ExportedModel, SeedOrigin

_TEMPLATES = Environment(
    loader=PackageLoader("pipelines.results.export"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


def dataset_card(study: Study, files: Sequence[Exported], origins: Sequence[SeedOrigin]) -> str:
    """Return a data set card (Markdown): a configuration per file, each set's origin, and the terms of use.

    Its header states a licence if all seed sets, which are `origins`, have the same one.
    """
    terms = {origin.terms for origin in origins}
    shared = origins[0] if len(terms) == 1 and origins[0].licences else None
    return _TEMPLATES.get_template("dataset.md.jinja").render(
        study=study, files=files, origins=origins, shared=shared, version=version("evolgrid")
    )


def student_card(study: Study, student: ExportedModel) -> str:
    """Return a model card (Markdown): a student's base model, data, hyper-parameters and measured scores."""
    return _TEMPLATES.get_template("student.md.jinja").render(study=study, student=student, version=version("evolgrid"))
