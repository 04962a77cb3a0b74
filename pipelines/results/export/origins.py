"""Where exported rows are from: the seed sets, and the models that wrote instructions and answers, with their terms."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from actors.engines.registry import engine_info
from pipelines.results.export.files import Exported, Origin
from pipelines.rows.readers.hub.card import CARD, Card, languages_of, licence_of, read_card
from pipelines.rows.readers.seed_rows import FileProblem
from pipelines.store.store import Store
from pipelines.study.graph.steps.params.instructions import SeedsParams
from pipelines.study.graph.steps.step import Step
from pipelines.study.inputs.models import is_on_hub, resolve_model_path
from pipelines.study.spec.common.model import Model
from pipelines.study.spec.instructions.seeds import Seeds
from pipelines.study.spec.study import Study

BUNDLED_LICENCE = "apache-2.0"  # evolgrid's own: the bundled models and their world are a part of it
WRITERS = ("evolver", "teacher")


def seed_origins(store: Store, study: Study, files: Iterable[Exported]) -> Iterator[Origin]:
    """Yield the seed sets that exported files descend from."""
    used = {file.pairs.seeds: file.pairs.instructions for file in files}
    for seeds in (seeds for seeds in study.seeds if seeds.name in used):
        if seeds.world:
            yield Origin(seeds.name, "tasks of the bundled world", "", (BUNDLED_LICENCE,), languages=("en",))
            continue
        source = f"https://huggingface.co/datasets/{seeds.hub}" if seeds.hub else _file_names(seeds)
        manifest = store.manifest("seeds", _seeds_key(used[seeds.name], seeds))
        stated = manifest.licence or {}
        licence = (tuple(stated.get("ids", ())), stated.get("name", ""), stated.get("link", ""))
        yield Origin(seeds.name, source, seeds.revision or "", *licence, manifest.languages)


def writers(study: Study, files: Iterable[Exported], folder: Path, fetch: bool = False) -> Iterator[Origin]:
    """Yield the models that wrote the instructions and answers of exported files, then the sets of given answers.

    `folder` is the study file's folder. With `fetch`, the cards of models on the hub are read from there; without it,
    only from the local cache.
    """
    steps = {step.key: step for file in files for step in _ancestors(file.pairs.responses, {})}
    names = {step.params.model for step in steps.values() if step.params.role in WRITERS}
    for name, model in study.models.items():
        if name in names:
            yield model_origin(name, model, folder, fetch)
    given = {file.pairs.teacher for file in files} - {*study.models}
    for name in sorted(given):
        yield Origin(name, "answers of a file or of the seed set")


def model_origin(name: str, model: Model, folder: Path, fetch: bool = False) -> Origin:
    """Return where a model is from, with the licence and languages that its card states."""
    if not engine_info(model.engine, model.gpus).has_weights:
        host = urlsplit(str((model.options | model.runtime).get("url", ""))).hostname
        return Origin(name, f"{model.source} at {host}" if host else model.source)
    if model.source.startswith("bundled:"):
        return Origin(name, model.source, "", (BUNDLED_LICENCE,), languages=("en",))
    on_hub = is_on_hub(model, folder)
    source = f"https://huggingface.co/{model.source}" if on_hub else Path(model.source).name
    card = _model_card(model, folder, on_hub, fetch)
    licence = licence_of(card)
    terms = licence.ids, licence.name, licence.link
    return Origin(name, source, model.revision or "", *terms, languages_of(card))


def _model_card(model: Model, folder: Path, on_hub: bool, fetch: bool) -> Card:
    """Return the header of a model's card; empty if there is none, or if it cannot be read or fetched."""
    if on_hub:
        return _hub_card(model.source, model.revision, fetch)
    try:
        return read_card(Path(resolve_model_path(model, folder)))
    except FileProblem:
        return {}


@cache
def _hub_card(name: str, revision: str | None, fetch: bool) -> Card:
    from huggingface_hub import hf_hub_download

    try:
        return read_card(Path(hf_hub_download(name, CARD, revision=revision, local_files_only=not fetch)).parent)
    except Exception:  # which library sends the requests depends on huggingface_hub's version
        return {}


def _seeds_key(step: Step, seeds: Seeds) -> str:
    """Return the key of the step of a seed set that an instruction step descends from."""
    found = {one.params.seeds.name: one.key for one in _ancestors(step, {}) if isinstance(one.params, SeedsParams)}
    return found.get(seeds.name) or next(iter(found.values()))  # equal sets share the step of one of them


def _ancestors(step: Step, seen: dict[str, Step]) -> Iterator[Step]:
    """Yield a step and all that it descends from, each once."""
    if step.key not in seen:
        seen[step.key] = step
        yield step
        for needed in step.inputs:
            yield from _ancestors(needed, seen)


def _file_names(seeds: Seeds) -> str:
    """Return the names of a set's files without their folders, which say nothing to others."""
    return ", ".join(Path(name).name for name in seeds.file or ())
