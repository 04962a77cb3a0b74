"""The cards that go with what is exported: README.md with the header that `datasets` and the hub read."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined

from pipelines.study.spec.study import Study

if TYPE_CHECKING:
    from pipelines.results.export.files import Exported, ExportedModel

_TEMPLATES = Environment(
    loader=PackageLoader("pipelines.results.export"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


def dataset_card(study: Study, files: Sequence[Exported]) -> str:
    """Markdown: one configuration for each file, how each set was made, and whose terms its use is under."""
    return _TEMPLATES.get_template("dataset.md.jinja").render(study=study, files=files, version=version("evolgrid"))


def student_card(study: Study, student: ExportedModel) -> str:
    """Markdown: the base, the data, the hyper-parameters and the measured scores of a student."""
    return _TEMPLATES.get_template("student.md.jinja").render(study=study, student=student, version=version("evolgrid"))
