"""Everything that a study takes from the Hugging Face hub, and the study with other revisions of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from actors.engines.vllm_arguments import SPECULATIVE
from actors.inference.embedder import packaged_model_folder
from pipelines.study.file.yaml_tree import Loc
from pipelines.study.inputs.encoders import encoder_spec
from pipelines.study.inputs.models import COMMIT, HUB_NAME, draft_folder, is_on_hub
from pipelines.study.spec.evaluation.benchmarks import Benchmark
from pipelines.study.spec.instructions.seeds import Seeds
from pipelines.study.spec.study import Study

DEFAULT_BRANCH = "main"
RepoType = Literal["model", "dataset"]
B = TypeVar("B", Seeds, Benchmark)


@dataclass(frozen=True, slots=True)
class HubReference:
    """A model or a data set on the hub that a study names at `loc`, at a branch, a tag or a commit."""

    kind: RepoType
    name: str
    revision: str
    loc: Loc

    @property
    def is_pinned(self) -> bool:
        """Whether the revision is a commit, which never changes."""
        return bool(COMMIT.fullmatch(self.revision))

    @property
    def requested(self) -> str:
        """The name and the revision, as text."""
        return f"{self.name}@{self.revision}"


def hub_references(study: Study, folder: Path) -> list[HubReference]:
    """Return what a study takes from the hub, in the order of its blocks. `folder` is the study file's folder."""
    found: list[HubReference] = []

    def note(reference: HubReference) -> str:
        found.append(reference)
        return reference.revision

    with_revisions(study, folder, note)
    return found


def with_revisions(study: Study, folder: Path, choose: Callable[[HubReference], str]) -> Study:
    """Return the study with the revision that `choose` returns for everything that it takes from the hub."""
    changes: dict[str, Any] = {}
    models = dict(study.models)
    for name, model in study.models.items():
        update: dict[str, Any] = {}
        if is_on_hub(model, folder) and _on_hub(model.source):
            update["revision"] = choose(_reference("model", model.source, model.revision, ("models", name)))
        draft = model.options.get(SPECULATIVE)
        if isinstance(draft, dict) and draft_folder(model, folder) is None and _on_hub(str(draft.get("model", ""))):
            revision = str(draft["revision"]) if draft.get("revision") else None
            reference = _reference("model", str(draft["model"]), revision, ("models", name, "options", SPECULATIVE))
            update["options"] = model.options | {SPECULATIVE: draft | {"revision": choose(reference)}}
        models[name] = model.model_copy(update=update) if update else model
    changes["models"] = models
    changes["seeds"] = [
        _pinned(seeds, seeds.hub if seeds.hub and _on_hub(seeds.hub) else None, ("seeds", number), choose)
        for number, seeds in enumerate(study.seeds)
    ]
    if study.diversity and _is_hub_encoder(study, folder):
        block = study.diversity
        reference = _reference("model", block.encoder, block.revision, ("diversity",))
        changes["diversity"] = block.model_copy(update={"revision": choose(reference)})
    changes["benchmarks"] = [
        _pinned(bench, _items_on_hub(bench), ("benchmarks", number), choose)
        for number, bench in enumerate(study.benchmarks)
    ]
    return study.model_copy(update=changes)


def unpinned(study: Study, folder: Path) -> Iterator[HubReference]:
    """Yield what a study takes from the hub at a branch or a tag."""
    return (reference for reference in hub_references(study, folder) if not reference.is_pinned)


def _pinned(block: B, name: str | None, loc: Loc, choose: Callable[[HubReference], str]) -> B:
    """Return a block with the chosen revision of the data set that it takes from the hub, if it takes one."""
    if name is None:
        return block
    return block.model_copy(update={"revision": choose(_reference("dataset", name, block.revision, loc))})


def _items_on_hub(bench: Benchmark) -> str | None:
    hub = bench.traits.hub
    return hub.name if hub and not bench.file and not bench.lm_eval else None


def _reference(kind: RepoType, name: str, revision: str | None, loc: Loc) -> HubReference:
    return HubReference(kind, name, revision or DEFAULT_BRANCH, loc)


def _on_hub(name: str) -> bool:
    return HUB_NAME.fullmatch(name) is not None and not name.startswith(("bundled:", "~"))


def _is_hub_encoder(study: Study, folder: Path) -> bool:
    assert study.diversity is not None
    source = encoder_spec(study.diversity, folder).source
    return packaged_model_folder(source) is None and not Path(source).is_dir() and _on_hub(source)
