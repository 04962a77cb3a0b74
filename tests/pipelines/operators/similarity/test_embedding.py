"""Embedders take part as soon as they are ready, however long others wait."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actors.engine import LoadError
from actors.inference.embedder import EncoderSpec
from pipelines.operators.similarity import embedding
from pipelines.operators.similarity.embedding import CHUNK_TEXTS, embedder_count, ray_encoder


@pytest.mark.parametrize(
    ("gpus", "cpus", "chunks", "expected"),
    [(0, 4, 100, 4), (0, 4, 2, 2), (1, 64, 100, 1), (6, 64, 100, 6), (400, 6400, 10_000, 8), (400, 64, 3, 3)],
)
def test_there_are_a_few_embedders(gpus: int, cpus: int, chunks: int, expected: int) -> None:
    assert embedder_count(gpus, cpus, chunks * CHUNK_TEXTS - 1) == expected
    assert embedder_count(gpus, cpus, 0) == 1


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ray_local: None) -> Path:
    """A folder. Embedders are ready once it has a file "go" or they create the file "first"; "broken" is an error."""
    folder = tmp_path / "hosts"
    folder.mkdir()

    class Host:  # pickled with its code, so workers need not import this module
        def __init__(self, spec: EncoderSpec, on_gpu: bool) -> None:
            assert not on_gpu
            self.first = False

        def load_error(self) -> str:
            import time

            if (folder / "broken").exists():
                return "it is broken."
            try:
                (folder / "first").touch(exist_ok=False)
                self.first = True
            except FileExistsError:
                while not (folder / "go").exists():
                    time.sleep(0.05)
            return ""

        def embed(self, texts: list[str]) -> Any:
            return np.array([[float(text), float(self.first)] for text in texts], np.float32)

    monkeypatch.setattr(embedding, "EmbedderHost", Host)
    monkeypatch.setattr(embedding, "CHUNK_TEXTS", 2)
    monkeypatch.setattr(embedding, "PANEL_SIZE", 4)
    return folder


def test_embedders_that_are_not_ready_are_not_waited_for(hosts: Path) -> None:
    texts, done = [str(number) for number in range(30)], list[int]()
    with ray_encoder(EncoderSpec("x"), len(texts)) as encoder:
        vectors = np.concatenate([encoder.fetch(panel) for panel in encoder.panels(texts, done.append)])
        assert vectors.tolist() == [[number, 1] for number in range(30)]
        assert done == sorted(done) and done[-1] >= 20
        (hosts / "go").touch()
        while vectors[:, 1].all():  # until the other ones take part
            vectors = np.concatenate([encoder.fetch(panel) for panel in encoder.panels(texts)])
            assert vectors[:, 0].tolist() == [*range(30)]


def test_if_none_can_be_ready_the_encoder_is_an_error(hosts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (hosts / "broken").touch()
    with pytest.raises(LoadError, match=r"it is broken. Correct 'diversity.encoder'"), ray_encoder(EncoderSpec("x"), 9):
        raise AssertionError("it was given out")
    (hosts / "broken").unlink()
    (hosts / "first").touch()
    monkeypatch.setattr(embedding, "READY_TIMEOUT", 0.5)
    late = r"no embedder was ready after 0.5 s; free now: "
    with pytest.raises(LoadError, match=late), ray_encoder(EncoderSpec("x"), 9):
        raise AssertionError("it was given out")
