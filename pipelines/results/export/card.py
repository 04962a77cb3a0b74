"""Renders the cards of exports: README.md files with the header that `datasets` and the hub read."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from ruamel.yaml import YAML

from pipelines.results.export.files import Exported, ExportedModel, Origin
from pipelines.results.export.terms import languages, shared_licence, terms_notes
from pipelines.study.spec.study import Study

_TEMPLATES = Environment(
    loader=PackageLoader("pipelines.results.export"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)
_SIZES = {1e3: "n<1K", 1e4: "1K<n<10K", 1e5: "10K<n<100K", 1e6: "100K<n<1M", 1e7: "1M<n<10M", 1e8: "10M<n<100M"}


@dataclass(frozen=True, slots=True)
class DataSources:
    """The origins of what is in a data set: its seed sets, and the models that wrote its instructions and answers."""

    seeds: tuple[Origin, ...]
    writers: tuple[Origin, ...]

    @property
    def all(self) -> tuple[Origin, ...]:
        """All of them."""
        return self.seeds + self.writers


def dataset_card(study: Study, files: Sequence[Exported], sources: DataSources, hub: str = "") -> str:
    """Return a data set card (Markdown): a configuration per file, each set's origin, and the terms of use.

    Its header states a licence if all seed sets, and all models that wrote the rows, have the same one. `hub` is the
    data set's name on the hub: there, the study file and its report are beside it.
    """
    rows = sum(file.rows for file in files)
    header = {
        "pretty_name": study.study,
        **_licence(sources.all),
        **({"language": found} if (found := languages(sources.seeds)) else {}),
        "size_categories": [next((name for most, name in _SIZES.items() if rows < most), "n>100M")],
        "task_categories": ["text-generation"],
        "tags": ["instruction-tuning", "synthetic", "evolgrid"],
        "configs": [{"config_name": config_name(file), "data_files": file.path.name} for file in files],
    }
    return _TEMPLATES.get_template("dataset.md.jinja").render(
        header=_yaml(header),
        study=study,
        files=files,
        sources=sources,
        notes=terms_notes(sources.seeds, sources.writers),
        hub=hub,
        version=version("evolgrid"),
    )


def student_card(study: Study, student: ExportedModel, hub: str = "", adapter: bool = False) -> str:
    """Return a model card (Markdown): a student's base model, data, hyper-parameters and measured scores.

    `hub` is the name of its data on the hub, empty if they are not there. `adapter` says that the folder has an adapter
    alone, without the merged weights.
    """
    header = {
        **_licence((student.origin, *student.training_data)),
        **({"language": found} if (found := languages(student.training_data)) else {}),
        **({"base_model": student.base} if student.base else {}),
        **({"base_model_relation": "adapter" if adapter else "finetune"} if student.base else {}),
        "library_name": "peft" if adapter else "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["instruction-tuning", "evolgrid"],
        **({"datasets": [hub]} if hub else {}),
        **_model_index(student),
    }
    return _TEMPLATES.get_template("student.md.jinja").render(
        header=_yaml(header),
        study=study,
        student=student,
        notes=terms_notes(student.training_data, (student.origin,)),
        hub=hub,
        adapter=adapter,
        version=version("evolgrid"),
    )


def config_name(file: Exported) -> str:
    """Return the name with which `datasets` loads a file."""
    return f"{file.name}-preferences" if file.ranking else file.name


def _licence(origins: Sequence[Origin]) -> dict[str, Any]:
    """Return the entries of a header for the licence that all sources share; none if they differ or one is unknown."""
    if not (shared := shared_licence(origins)):
        return {}
    ids = shared.licences
    stated = {"license": ids[0] if len(ids) == 1 else [*ids]}
    more = {"license_name": shared.licence_name, "license_link": shared.licence_link}
    return stated | {key: value for key, value in more.items() if value}


def _model_index(student: ExportedModel) -> dict[str, Any]:
    """Return the hub's list of results of a student; nothing without scores."""
    from huggingface_hub import EvalResult
    from huggingface_hub.repocard_data import eval_results_to_model_index

    results = [
        EvalResult(
            task_type="text-generation",
            dataset_type=score.benchmark,
            dataset_name=score.benchmark,
            metric_type=score.number,
            metric_name=score.label,
            metric_value=score.value,
        )
        for score in student.scores
    ]
    return {"model-index": eval_results_to_model_index(student.name, results)} if results else {}


def _yaml(header: Mapping[str, Any]) -> str:
    out = io.StringIO()
    YAML().dump(dict(header), out)  # pyright: ignore[reportUnknownMemberType]
    return out.getvalue()
